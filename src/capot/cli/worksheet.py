"""``capot worksheet``: the course on paper."""

from capot.cli.paper import paper_command

command = paper_command("worksheet")
