"""Whose turn it is."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from capot.scheduler.job import Ticket


class Rota:
    """Tickets of several owners: each owner's in order, the owners in turn."""

    def __init__(self) -> None:
        self.queues: OrderedDict[str, deque[Ticket]] = OrderedDict()

    def add(self, ticket: Ticket, *, first: bool = False) -> None:
        queue = self.queues.setdefault(ticket.job.owner, deque())
        queue.appendleft(ticket) if first else queue.append(ticket)

    def take(self, allowed: Callable[[Ticket], bool] = lambda _: True) -> Ticket | None:
        """The first allowed ticket of the owner whose turn it is; that owner goes last."""
        for owner in list(self.queues):
            ticket = next(filter(allowed, self.queues[owner]), None)
            if ticket is not None:
                self.remove(ticket)
                if owner in self.queues:
                    self.queues.move_to_end(owner)
                return ticket
        return None

    def remove(self, ticket: Ticket) -> bool:
        queue = self.queues.get(ticket.job.owner, ())
        if ticket not in queue:
            return False
        queue.remove(ticket)
        if not queue:
            del self.queues[ticket.job.owner]
        return True

    def __len__(self) -> int:
        return sum(map(len, self.queues.values()))

    def __iter__(self) -> Iterator[Ticket]:
        return (ticket for queue in self.queues.values() for ticket in queue)

    def take_many(self, count: int) -> list[Ticket]:
        """Up to ``count`` tickets, one of each owner in turn, then a second of each, and so on."""
        taken: list[Ticket] = []
        while self.queues and len(taken) < count:
            ticket = self.take()
            assert ticket is not None
            taken.append(ticket)
        return taken
