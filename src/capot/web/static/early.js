"use strict"; // before anything is painted: the theme that was chosen, so that a dark page does not start white
{
  const theme = localStorage.getItem("capot-theme");
  if (theme) document.documentElement.dataset.theme = theme;
}
