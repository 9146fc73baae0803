"""The answers, one module per chapter: frozen, host values only, units in the names."""
