"""Decide which jobs start: those whose cache fits beside the running ones. Callers hold the scheduler's lock."""

from __future__ import annotations

from capot.engines.protocol import Engine
from capot.engines.scheduler.fair_queue import FairQueue
from capot.engines.scheduler.job import Ticket
from capot.engines.scheduler.prefix_cache import PrefixCache


def _owner_of(ticket: Ticket) -> str:
    return ticket.job.owner


class JobAdmission:
    """Two queues (prompts to prefill, texts to decode), and the jobs that hold a sequence."""

    def __init__(self, engine: Engine, caches: PrefixCache) -> None:
        self.engine = engine
        self.caches = caches
        self.prompts, self.decoding = FairQueue(_owner_of), FairQueue(_owner_of)
        self.active: dict[Ticket, int] = {}  # those at work, and the bytes set aside for each
        self.reused_tokens = 0

    @property
    def has_work(self) -> bool:
        """Return whether a ticket waits for a step."""
        return bool(self.prompts.queues or self.decoding.queues)

    @property
    def has_contention(self) -> bool:
        """Return whether the next prompt is not alone: others decode, or wait to be prefilled."""
        return bool(self.decoding.queues) or len(self.prompts.queues) > 1

    @property
    def waiting(self) -> list[Ticket]:
        """Return the tickets that have not begun."""
        return [ticket for ticket in self.prompts if not ticket.begun]

    @property
    def all_tickets(self) -> list[Ticket]:
        return list(dict.fromkeys([*self.prompts, *self.decoding, *self.active]))

    @property
    def bytes_in_use(self) -> int:
        """Return the bytes that running jobs hold or may come to hold."""
        # The estimate until the cache is larger: what is admitted now must still fit when it has grown.
        return sum(max(need, ticket.nbytes) for ticket, need in self.active.items())

    def position(self, ticket: Ticket) -> int:
        """Return the place in the queue, or 0 for a ticket that runs, is done or is cancelled."""
        # A cancelled ticket stays in the queue until the step under way ends, but nobody waits for it.
        return self.prompts.position(ticket, lambda other: not (other.begun or other.cancelled))

    def remove(self, ticket: Ticket) -> bool:
        """Take a ticket out of its queue, and return whether it was in one."""
        return self.prompts.remove(ticket) or self.decoding.remove(ticket)

    def next_prompts(self, size: int, *, texts: int) -> list[Ticket]:
        """Return the next prompt, and newcomers' prompts as long as all have at most ``size`` tokens together.

        A newcomer need not wait until each of many owners has had a turn, and a long prompt goes on all the same.
        """
        ticket = self._next_prompt()
        tickets = list[Ticket]()
        # Those with something running have had their turn; who has nothing may ride along in the same pass.
        at_work = {each.job.owner for each in self.active}
        while ticket is not None:
            tickets.append(ticket)
            at_work.add(ticket.job.owner)
            size -= ticket.left
            ticket = self._next_newcomer(size, at_work) if size > 0 and len(tickets) < texts else None
        return tickets

    def _next_newcomer(self, most: int, at_work: set[str]) -> Ticket | None:
        """Return the first prompt of an owner not ``at_work``, if it has at most ``most`` tokens."""
        ticket = self.prompts.take(lambda other: other.job.owner not in at_work)
        if ticket is None:
            return None
        # Taken to be looked at, put back to be chosen by the rules that hold for every prompt.
        self._requeue_first(ticket)
        return self._next_prompt() if ticket.left <= most else None

    def _next_prompt(self) -> Ticket | None:
        """Return the next prompt to continue, or to begin if its cache fits beside the running ones."""
        ticket = self.prompts.take()
        if ticket is None or ticket.begun:
            return ticket
        # Prompt and answer to come, as admission is final: a text under way is never evicted for want of memory.
        need = self.engine.cache_bytes(min(len(ticket.job.ids) + ticket.job.room, self.engine.info.context_length))
        # With nothing at work even the largest may begin: it has the whole budget, or fails by itself.
        if self.active and self.bytes_in_use + need > self.caches.budget:
            # Nobody begins until it fits: a stream of small jobs must not starve a large one.
            self._requeue_first(ticket)
            return self.prompts.take(lambda other: other.begun)
        self._begin(ticket, need)
        return ticket

    def _requeue_first(self, ticket: Ticket) -> None:
        self.prompts.add(ticket, first=True)
        # The owner's turn is kept too, not only the item's place among theirs.
        self.prompts.queues.move_to_end(ticket.job.owner, last=False)

    def _begin(self, ticket: Ticket, need: int) -> None:
        self.active[ticket] = need
        sequence, shared = self.caches.take(ticket.job)
        # Idle caches make room for running ones before the new one grows, not when memory is short already.
        self.caches.shrink(self.bytes_in_use)
        ticket.begin(sequence, shared=shared)
        self.reused_tokens += shared

    def dismiss(self, ticket: Ticket, *, keep: bool) -> None:
        """End a ticket's work. With ``keep`` its cache stays for its owner's next prompt, but for an edited text's."""
        self.active.pop(ticket, None)
        sequence = ticket.release()
        # A cache of edited passes holds keys and values of no true text: nobody may go on from it.
        if sequence is not None and keep and not ticket.job.edits:
            self.caches.give(sequence, owner=ticket.job.owner, in_use=self.bytes_in_use)
        elif sequence is not None:
            sequence.close()

    def status(self) -> dict[str, int]:
        """Count jobs and caches. Units: bytes."""
        waiting = self.waiting
        return {
            "at_work": len(self.active),
            "waiting": len(waiting),
            "owners": len({ticket.job.owner for ticket in (*self.active, *waiting)}),
            "idle_caches": len(self.caches.idle),
            "cache_bytes": self.caches.nbytes + self.bytes_in_use,
            "cache_budget": self.caches.budget,
            "evicted": self.caches.evicted,
        }
