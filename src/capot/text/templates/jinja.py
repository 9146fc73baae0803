"""The chat template that a model's files carry, encoded so that no message can speak for it.

A rendered chat is one text: ``<|user|>\\nHello<|end|>``. Encoded as it is, a person who types
``<|end|>`` ends their own message and may write the system's next. So the contents are
*hidden* first: in every message, the first letter of whatever could be read as a named
token is replaced by a mark that nobody can guess. The template is rendered; the named
tokens found in the result are then the template's own, and the marks are put back.

Where no message held such a name, the whole text is encoded at once, which is what
``apply_chat_template`` does: the ids are the same. Where one did, what stands between the
template's tokens is encoded piece by piece with every added token read as letters.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import re
import secrets
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from capot.errors import CapotError, InterruptedByUser
from capot.text.templates import sandbox
from capot.text.templates.message import Message, Prompt, Renderer, check_roles
from capot.text.tokenizer import Tokenizer

_PRIVATE = 0xF0000  # plane 15: no letter, no space, no case, nothing a template's filter would touch
_DIGITS = 0xFF000
_THOUGHT = "</think>"


@dataclass(frozen=True)
class JinjaTemplate:
    """A chat template's ``source``, the special tokens it may name (``bos_token``, ...), and what renders it."""

    source: str
    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    render: Renderer = field(default=sandbox.render, compare=False)

    kind = "chat_template"

    @property
    def stops(self) -> tuple[str, ...]:
        """Return none: the model's end tokens stop it; see ``end_of_turn`` for files that forget to name one."""
        return ()

    def finish(self, answer: str) -> str:
        return answer

    def end_of_turn(self, tokenizer: Tokenizer) -> str | None:
        """Return the named token that the template writes after an answer, if there is one."""
        try:
            said = [Message("user", "A"), Message("assistant", "B")]
            text = self._rendered([{"role": m.role, "content": m.content} for m in said], ask=False)
        except InterruptedByUser:
            raise
        except CapotError:
            return None
        # What comes after the answer's text in the rendering, and is a named token, ends the turn.
        following = _split(text.rpartition("B")[2], _finder_for(tokenizer))
        return next((piece for named, piece in following if named), None)

    def prompt(self, messages: Sequence[Message], tokenizer: Tokenizer) -> Prompt:
        """See :class:`capot.text.templates.Template`. The template writes its own BOS: none is added.

        Raises: what ``sandbox.render`` raises; InputError ``unknown_role``.
        """
        check_roles(messages)
        # New marks for each rendering: who saw an earlier prompt cannot write them.
        finder = _finder_for(tokenizer)
        marks = _Placeholders()
        fields = [_template_fields(message, thinks=_THOUGHT in tokenizer.named) for message in messages]
        # The role is not the user's text: ``check_roles`` has held it to three words.
        hidden = [
            {key: text if key == "role" else marks.hide(text, finder) for key, text in message.items()}
            for message in fields
        ]
        marked = _split(self._rendered(hidden), finder)
        pieces = [(named, piece if named else marks.put_back(piece)) for named, piece in marked]
        text = "".join(piece for _, piece in pieces)
        return Prompt(text, tuple(_encode(text, pieces, finder, tokenizer)))

    def _rendered(self, messages: list[dict[str, str]], *, ask: bool = True) -> str:
        variables = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": ask}
        size = sum(len(text) for message in messages for text in message.values())
        return self.render(self.source, {**self.names, **variables}, size=size)


def _template_fields(message: Message, *, thinks: bool) -> dict[str, str]:
    """Return a message as templates know it. What a model thought before answering has a field of its own,
    because templates that drop it look for ``</think>``, which is hidden from them in a content."""
    content = message.content
    fields = {"role": message.role}
    if thinks and message.role == "assistant" and _THOUGHT in content:
        thought, _, content = content.rpartition(_THOUGHT)
        fields["reasoning_content"] = thought.rpartition("<think>")[2].strip("\n")
        content = content.lstrip("\n")
    return {**fields, "content": content}


@dataclass(frozen=True)
class _TokenFinder:
    """Finds named tokens in a text, and what could become one beside another text."""

    ids: Mapping[str, int]
    commands: frozenset[int]
    first: re.Pattern[str] | None  # any letter that begins a name; one pattern of all names would be tried whole
    lengths: Mapping[str, tuple[int, ...]]  # by first letter, the longest first
    forwards: Sequence[str]  # the names in order: those that begin with a piece follow it
    backwards: Sequence[str]  # the same from their ends to their beginnings
    ends: frozenset[str]  # the last letter of each
    longest: int
    spaces: dict[tuple[str, str], bool]  # what was found out about a name and the spaces beside it

    def names(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield where names begin, overlapping ones included, and the longest that begins there."""
        # Overlapping names (``<|im`` and ``<|im_end|>``) are looked for at every place, as hiding one may leave the
        # other.
        for match in self.first.finditer(text) if self.first is not None else ():
            place = match.start()
            pieces = (text[place : place + length] for length in self.lengths[match[0]])
            name = next((piece for piece in pieces if piece in self.ids), None)
            if name is not None:
                yield place, name

    def places(self, text: str) -> set[int]:
        """Return where a name begins, overlapping ones included, and where half of one stands at an edge."""
        found = {place for place, _ in self.names(text)}
        first = len(text) - len(text.lstrip())
        last = len(text.rstrip())
        # Half a name at the edge of a message could be completed by what the template writes beside it.
        for size in range(1, min(self.longest, last - first + 1)):
            if text[last - size] in self.lengths and _any_continues(self.forwards, text[last - size : last]):
                found.add(last - size)
            if text[first + size - 1] in self.ends and _any_continues(self.backwards, text[first : first + size][::-1]):
                found.add(first)
        return {place for place in found if not text[place].isspace()}

    def once(self, question: str, name: str, answer: Callable[[], bool]) -> bool:
        """Return what a tokenizer answers about a name, asked once: a template may write one a thousand times."""
        if (question, name) not in self.spaces:
            self.spaces[question, name] = answer()
        return self.spaces[question, name]


_finders: weakref.WeakKeyDictionary[Tokenizer, _TokenFinder] = weakref.WeakKeyDictionary()


def _finder_for(tokenizer: Tokenizer) -> _TokenFinder:
    if tokenizer not in _finders:
        _finders[tokenizer] = _build_finder(tokenizer)
    return _finders[tokenizer]


def _build_finder(tokenizer: Tokenizer) -> _TokenFinder:
    # A run of spaces that a vocabulary adds by name (Gemma, StarCoder) commands nothing: it stays text.
    ids = {name: token for name, token in tokenizer.named.items() if name.strip()}
    lengths: dict[str, set[int]] = {}
    for name in ids:
        lengths.setdefault(name[0], set()).add(len(name))
    return _TokenFinder(
        ids=ids,
        commands=frozenset(ids.values()),
        # One class of first letters, since an alternation of thousands of names would be tried name by name at each
        # place.
        first=re.compile("[" + "".join(map(re.escape, lengths)) + "]") if ids else None,
        lengths={letter: tuple(sorted(found, reverse=True)) for letter, found in lengths.items()},
        forwards=sorted(ids),
        backwards=sorted(name[::-1] for name in ids),
        ends=frozenset(name[-1] for name in ids),
        longest=max(map(len, ids), default=0),
        spaces={},
    )


def _any_continues(ordered: Sequence[str], piece: str) -> bool:
    """Return whether one of ``ordered`` begins with ``piece`` and goes on."""
    place = bisect.bisect_right(ordered, piece)
    return place < len(ordered) and ordered[place].startswith(piece)


class _Placeholders:
    """Letters replaced by marks of one rendering, and put back after it."""

    def __init__(self) -> None:
        # Eight letters of 15 bits each: 120 bits that nobody guesses, in a plane that no tokenizer or filter touches.
        letters = [chr(_PRIVATE + secrets.randbelow(0x8000)) for _ in range(8)]
        self._open = "".join(letters[:6])
        self._close = "".join(letters[6:])
        self._mark = re.compile(f"{self._open}([{chr(_DIGITS)}-{chr(_DIGITS + 9)}]+){self._close}")

    def hide(self, text: str, finder: _TokenFinder) -> str:
        parts = []
        begin = 0
        for place in sorted(finder.places(text)):
            # As digits of a plane of their own, for a letter or an ordinary digit could become part of another name.
            digits = "".join(chr(_DIGITS + int(digit)) for digit in str(ord(text[place])))
            parts += [text[begin:place], self._open, digits, self._close]
            begin = place + 1
        return "".join([*parts, text[begin:]])

    def put_back(self, text: str) -> str:
        return self._mark.sub(lambda mark: chr(int("".join(str(ord(digit) - _DIGITS) for digit in mark[1]))), text)


def _split(text: str, finder: _TokenFinder) -> list[tuple[bool, str]]:
    """Return the text cut at named tokens: (whether it is one, the piece)."""
    pieces = []
    begin = 0
    for place, name in finder.names(text):
        if place >= begin:
            pieces += [(False, text[begin:place]), (True, name)]
            begin = place + len(name)
    pieces.append((False, text[begin:]))
    return [(named, piece) for named, piece in pieces if piece]


def _encode(text: str, pieces: list[tuple[bool, str]], finder: _TokenFinder, tokenizer: Tokenizer) -> list[int]:
    intended = [finder.ids[piece] for named, piece in pieces if named]
    # The same cut with and without marks: what the template wrote and what would be read are the same tokens.
    if _split(text, finder) == pieces:
        ids = tokenizer.encode(text, specials="allow")
        # The tokenizer may still merge or normalize across a border; then the ids say so.
        if [token for token in ids if token in finder.commands] == intended:
            return ids
    return _encode_pieces(pieces, finder, tokenizer)


def _encode_pieces(pieces: list[tuple[bool, str]], finder: _TokenFinder, tokenizer: Tokenizer) -> list[int]:
    """Encode each piece by itself, as it would have been between the same two tokens."""
    ids: list[int] = []
    for place, (named, piece) in enumerate(pieces):
        if named:
            ids.append(finder.ids[piece])
            continue
        before = pieces[place - 1][1] if place else None
        after = pieces[place + 1][1] if place + 1 < len(pieces) else None
        if before is not None and _strips_spaces(before, finder, tokenizer, right=True):
            piece = piece.lstrip()
        if after is not None and _strips_spaces(after, finder, tokenizer, right=False):
            piece = piece.rstrip()
        ids += _encode_as_text(piece, before, finder, tokenizer)
    return ids


def _strips_spaces(name: str, finder: _TokenFinder, tokenizer: Tokenizer, *, right: bool) -> bool:
    """Return whether a token takes the spaces on one of its sides with it, as some tokenizer.json ask."""
    text = f"{name}\n " if right else f"\n {name}"
    question = "right" if right else "left"
    # Asked of the tokenizer itself: ``lstrip`` and ``rstrip`` of added tokens are not in every library's interface.
    return finder.once(question, name, lambda: len(tokenizer.encode(text, specials="allow")) == 1)


def _encode_as_text(piece: str, before: str | None, finder: _TokenFinder, tokenizer: Tokenizer) -> list[int]:
    """Return a piece with no token in it special, whatever it spells."""
    plain = functools.partial(tokenizer.encode, specials="strict")
    ids = plain(piece)
    if piece and before is not None and _opens_with_space(before, finder, tokenizer):
        # SentencePiece puts a space before a text, but none after a token: a line end stands in for the token.
        line = plain("\n")
        long = plain("\n" + piece)
        ids = long[len(line) :] if long[: len(line)] == line else ids
    if set(ids) & finder.commands:
        # The model's own vocabulary spells a name as one token: cut it after its first letter.
        cuts = [0, *sorted(place + 1 for place in finder.places(piece)), len(piece)]
        ids = [token for a, b in itertools.pairwise(cuts) for token in plain(piece[a:b])]
    return ids


def _opens_with_space(name: str, finder: _TokenFinder, tokenizer: Tokenizer) -> bool:
    text = f"{name}a"
    plain = functools.partial(tokenizer.encode, "a", specials="strict")
    return finder.once("opens", name, lambda: tokenizer.encode(text, specials="allow")[1:] != plain())
