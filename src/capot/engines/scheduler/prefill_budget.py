"""Choose how many prompt tokens a step may prefill while other texts wait for their next token."""

from __future__ import annotations

from capot.engines.protocol import MAX_CHUNK

MAX_BATCH = 32  # texts advanced in one pass; more would make a newcomer's first token wait
MIN_CHUNK = 32  # tokens; below, a prompt costs more passes over the weights than it is worth
MAX_DELAY_S = 0.1  # how long prompts may hold up the others' next token


class PrefillBudget:
    """Estimate the speed of prefill by moving averages: tokens a second, and seconds for one short prompt.

    The averages weigh the last pass by 0.3, so that one slow pass (a page fault, a busy core) changes little.
    """

    def __init__(self) -> None:
        self._rate = float("inf")
        self._text_seconds = 0.0

    def chunk(self) -> int:
        """Return the prompt tokens that others can wait for, as a power of two."""
        fitting = min(self._rate * MAX_DELAY_S, MAX_CHUNK)
        # A power of two: NumPy and the kernels then meet few different shapes, and buffers are used again.
        return max(MIN_CHUNK, 1 << (int(fitting).bit_length() - 1)) if fitting >= 1 else MIN_CHUNK

    def texts(self, *, together: bool) -> int:
        """Return the short prompts that others can wait for.

        ``together`` they go in one pass, bounded by their tokens; otherwise each takes a pass of its own.
        """
        if together:
            return MAX_BATCH
        fitting = MAX_DELAY_S / self._text_seconds if self._text_seconds else MAX_BATCH
        return max(1, min(MAX_BATCH, int(fitting)))

    def note(self, *, texts: int, tokens: int, seconds: float) -> None:
        """Record how long a pass over prompts took."""
        if seconds <= 0:
            return
        # Short prompts say little of the rate, as a pass has costs of its own; they have an average for themselves.
        if tokens >= MIN_CHUNK:
            rate = tokens / seconds
            self._rate = rate if self._rate == float("inf") else 0.7 * self._rate + 0.3 * rate
        if tokens < MIN_CHUNK * texts:
            each = seconds / texts
            self._text_seconds = 0.7 * self._text_seconds + 0.3 * each if self._text_seconds else each
