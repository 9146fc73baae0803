"""Templates: how a list of messages becomes the one text that a language model continues.

Three kinds, one promise: nothing that a person types can pass for the template.

    RawTemplate     the messages as they are: the model's own trade, continuing a text
    PlainTemplate   a few-shot dialogue in ordinary text, USER: and ASSISTANT:, and FIN at the end
    JinjaTemplate   the one that a model's files carry, with special tokens between the messages

A template's ``prompt(messages, tokenizer)`` answers a :class:`Prompt`; its ``stops`` are
the strings that end an answer in a conversation, and ``finish`` cleans an answer's end.
"""

from __future__ import annotations

from pathlib import Path

from capot.errors import InputError, NotFoundError, local_path, os_reason
from capot.text.templates.message import ROLES, Message, Prompt, Template, check_roles
from capot.text.templates.plain import PlainTemplate, RawTemplate, default, default_text

__all__ = [
    "ROLES", "Message", "PlainTemplate", "Prompt", "RawTemplate", "Template",
    "check_roles", "default", "default_text", "load_text",
]  # fmt: skip


def load_text(path: str | Path) -> tuple[str, str]:
    """Return a template file: ``template`` (TOML) or ``chat_template`` (Jinja: ``.jinja``, ``.j2``), and its text.

    A plain one is read at once, so that an error names the file.

    Raises: NotFoundError ``no_template``; InputError ``cannot_read``, ``not_utf8``, ``template_toml``,
    ``template_key``.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise NotFoundError("no_template", path=local_path(path, path.name))
    try:
        text = path.read_text(encoding="utf-8-sig")  # an editor may begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise InputError(
            "not_utf8", source=local_path(path, path.name), offset=error.start, encoding="latin1"
        ) from None
    except OSError as error:
        raise InputError("cannot_read", path=local_path(path, path.name), reason=os_reason(error)) from None
    if path.suffix in (".jinja", ".j2"):
        return "chat_template", text
    PlainTemplate.from_toml(text, source=local_path(path, path.name))
    return "template", text
