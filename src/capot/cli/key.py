"""``capot key``: the course on paper, with the answers of the model at hand."""

from capot.cli.paper import paper_command

command = paper_command("key")
