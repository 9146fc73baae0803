"""How many of a thing one address may hold."""

from __future__ import annotations

from collections import Counter

from capot.web.addresses import network_of

NETWORK = 2  # times as many for all the addresses of one IPv6 network: a household's, or a school's


class Quota:
    """How many of a thing each address holds; all of an IPv6 network together hold ``NETWORK`` times as many."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: Counter[str] = Counter()

    def held(self, address: str) -> int:
        return self._held[address]

    def full(self, address: str) -> str | None:
        """The address or the network that may hold no more; None where one more fits."""
        network = network_of(address)
        if network is not None and self._held[network] >= NETWORK * self.most:
            return network
        return address if self._held[address] >= self.most else None

    def add(self, address: str) -> None:
        for each in filter(None, (address, network_of(address))):
            self._held[each] += 1

    def remove(self, address: str) -> None:
        for each in filter(None, (address, network_of(address))):
            self._held[each] -= 1
            if self._held[each] <= 0:
                del self._held[each]

    def __len__(self) -> int:
        """Addresses and networks known: those that hold something, and no others."""
        return len(self._held)
