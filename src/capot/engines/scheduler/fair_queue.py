"""Queue the work of several owners fairly."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Items of several owners: each owner's in order, the owners in turn (round robin)."""

    def __init__(self, owner: Callable[[Item], str]) -> None:
        self.queues: OrderedDict[str, deque[Item]] = OrderedDict()
        self._owner = owner

    def add(self, item: Item, *, first: bool = False) -> None:
        queue = self.queues.setdefault(self._owner(item), deque())
        queue.appendleft(item) if first else queue.append(item)

    def take(self, allowed: Callable[[Item], bool] = lambda _: True) -> Item | None:
        """Remove and return the first allowed item of the owner whose turn it is; that owner goes last."""
        # A copy of the keys: ``remove`` deletes an owner without items from the dictionary that is walked through.
        for owner in list(self.queues):
            found = next(filter(allowed, self.queues[owner]), None)
            if found is not None:
                self.remove(found)
                if owner in self.queues:
                    self.queues.move_to_end(owner)
                return found
        return None

    def remove(self, item: Item) -> bool:
        queue = self.queues.get(self._owner(item))
        if queue is None or item not in queue:
            return False
        queue.remove(item)
        if not queue:
            del self.queues[self._owner(item)]
        return True

    def position(self, item: Item, counts: Callable[[Item], bool] = lambda _: True) -> int:
        """Return an item's place among those that count, or 0 if it does not wait."""
        # How many will be taken before it: from each other owner one in each round, and from those whose turn comes
        # earlier one more.
        queues = {owner: [each for each in queue if counts(each)] for owner, queue in self.queues.items()}
        name = self._owner(item)
        mine = queues.get(name, [])
        if item not in mine:
            return 0
        place = mine.index(item)
        owners = list(queues)
        before = owners[: owners.index(name)]
        others = (min(len(queues[owner]), place + (owner in before)) for owner in owners if owner != name)
        return 1 + sum(others) + place

    def __len__(self) -> int:
        return sum(map(len, self.queues.values()))

    def __iter__(self) -> Iterator[Item]:
        return (item for queue in self.queues.values() for item in queue)

    def take_many(self, count: int) -> list[Item]:
        """Remove up to ``count`` items: one of each owner in turn, then a second of each, and so on."""
        taken: list[Item] = []
        while self.queues and len(taken) < count:
            found = self.take()
            assert found is not None
            taken.append(found)
        return taken
