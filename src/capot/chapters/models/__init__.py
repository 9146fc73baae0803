"""Which models are there to open, here and on the hub?"""

from __future__ import annotations

from capot.chapters.chapter import Chapter

CHAPTER = Chapter("models", {}, ("models",), sees=("card",), page=False)
