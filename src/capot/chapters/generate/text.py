"""Text out of tokens, let go only when no later token can take it back."""

from __future__ import annotations

from collections.abc import Sequence

from capot.text.tokenizer import TextStream, Tokenizer

_PRIMING = 8  # tokens before a text that is taken up again: its first half character may be among them


class GrowingText:
    """Text out of tokens, with half characters and possible stop strings held back.

    ``ids`` are the tokens before: where a text is taken up again in the middle of a
    character, its first half is among them.
    """

    def __init__(self, tokenizer: Tokenizer, ids: Sequence[int], *, stops: Sequence[str] = ()) -> None:
        self.text = self.held = self.after = ""
        self.found: str | None = None
        self._stops = stops
        self._specials = tokenizer.special_ids
        self._stream = TextStream(tokenizer)
        named = {tokenizer.named[stop]: stop for stop in stops if stop in tokenizer.named}
        self._stopping = {token: stop for token, stop in named.items() if token in self._specials}  # they have no text
        # Through the decoder alone: a half character before the text may become whole with its first token.
        for token in ids[-_PRIMING:]:
            self._characters(token)

    def _characters(self, token: int) -> str:
        return "" if token in self._specials else self._stream.push(token)

    def push(self, token: int) -> str:
        """Return the text that this token lets go."""
        if token in self._stopping:
            self.found = self._stopping[token]
            return self.finish()
        return self.write(self._characters(token))

    def write(self, text: str) -> str:
        """Return the text that is let go with these further characters."""
        self.held += text
        if not self.held:
            return ""
        released = self._until_stop() if self._stops else self.held
        # Once a stop string is found, what follows it is kept apart (``after``).
        if self.found is None:
            self.held = self.held[len(released) :]
        self.text += released
        return released

    def _until_stop(self) -> str:
        """Return what precedes the earliest stop string, the longest where two begin together.

        Where there is none, return what cannot begin one.
        """
        places = [(place, -len(stop), stop) for stop in self._stops if (place := self.held.find(stop)) >= 0]
        if places:
            place, _, self.found = min(places)
            released = self.held[:place]
            self.after = self.held[place + len(self.found) :]
            self.held = ""
            return released
        # One less than the longest stop string may be the beginning of one: the rest can never become part of it.
        longest = min(len(self.held), max(map(len, self._stops)) - 1)
        for size in range(longest, 0, -1):
            if any(stop.startswith(self.held[-size:]) for stop in self._stops):
                return self.held[:-size]
        return self.held

    def finish(self) -> str:
        """Let go what was held back for a stop string that did not come."""
        released, self.held = self.held, ""
        self.text += released
        return released
