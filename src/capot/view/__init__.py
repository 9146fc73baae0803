"""Wordless blocks between an answer and a face: a result says what to show, never how.

``blocks`` is what a result builds (its words already in the reader's language);
``text``, ``html`` and ``figure`` turn blocks into a terminal page, one HTML file
that opens with no server, and Plotly figures.
"""
