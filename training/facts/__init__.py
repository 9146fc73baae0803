"""Training text made by program from facts, in French and English.

Each module yields `Fact`s; `forms` sets them as prose, questions or few-shot dialogues;
`stream` mixes everything. Nothing that evaluation asks comes out: `guard` drops it.
"""
