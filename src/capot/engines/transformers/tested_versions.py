"""The versions of its packages that the engine was tried with. Nothing is imported to know them."""

# From the first version up to, and without, the second, as pyproject.toml has it: nothing newer was tried.
BOUNDS = {"torch": ("2.6", "2.14"), "transformers": ("5.23", "5.25"), "accelerate": ("1.1", "2")}
