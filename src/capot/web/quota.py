"""Limit how many of a thing one address may hold."""

from __future__ import annotations

from collections import Counter

from capot.web.addresses import network_of

NETWORK = 2  # times as many for all the addresses of one IPv6 network: a household's, or a school's


class Quota:
    """Count what each address holds. All of an IPv6 network together may hold ``NETWORK`` times the limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: Counter[str] = Counter()

    def count(self, address: str) -> int:
        return self._held[address]

    def full(self, address: str) -> str | None:
        """Return the address or the network that may hold no more, or None if one more fits."""
        network = network_of(address)
        if network is not None and self._held[network] >= NETWORK * self.limit:
            return network
        return address if self._held[address] >= self.limit else None

    def add(self, address: str) -> None:
        for each in filter(None, (address, network_of(address))):
            self._held[each] += 1

    def remove(self, address: str) -> None:
        for each in filter(None, (address, network_of(address))):
            self._held[each] -= 1
            # Nothing is kept of who holds nothing, however many addresses come.
            if self._held[each] <= 0:
                del self._held[each]

    def __len__(self) -> int:
        """Count the addresses and networks that hold something."""
        return len(self._held)
