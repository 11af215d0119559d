"""
What the cluster has no more and is kept for now: routes of which too many go at once. Pure.

Whatever such a route needs is kept with it, or it would only look as if it were served: its
service, and the instances of that, which nobody in the cluster tells of any more.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any, Final, NamedTuple

from fengling_gateway.model.entity import Key


class Look(NamedTuple):
    """
    What is known of an entity that is to be written.

    Attributes:
        origin: what in the cluster it stands for, as people write it.
        was: the fields that the cluster named last, of what is to be gone; None: nobody knows.
    """

    origin: str = ""
    was: Mapping[str, Any] | None = None


NOTHING_KNOWN: Final = Look()


class Going(NamedTuple):
    """
    Ids of routes that are to go with a batch, or after it.

    Attributes:
        later: those that are not in the batch, and that nobody has confirmed.
        confirmed: those that somebody does not want any more, or has confirmed; in the batch or not.
    """

    later: frozenset[str] = frozenset()
    confirmed: frozenset[str] = frozenset()


class Withheld:
    """Everything that is kept; it is not looked at again before it is released."""

    def __init__(self) -> None:
        self._kept: dict[Key, Look] = {}
        self._services: set[str] = set()
        # Instances that are kept, by their service.
        self._instances: dict[str, set[Key]] = {}

    def __repr__(self) -> str:
        return f"<Withheld: {len(self._kept)}>"

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def keep(self, routes: Mapping[Key, Look], services: Iterable[str]) -> None:
        """
        Keep routes.

        Args:
            services: which they need.
        """
        self._kept.update(routes)
        self._services.update(services)

    def draw(self, going: Mapping[Key, Look], wanted: Container[Key]) -> list[Key]:
        """Keep what of some entities that are to go belongs to routes that are kept; return it."""
        if not self._services:
            return []
        drawn = [key for key, look in going.items() if self._belongs(key, look, wanted)]
        for key in drawn:
            self._kept[key] = going[key]
            service = _service_of(going[key])
            if key.kind == "instance" and service is not None:
                self._instances.setdefault(service, set()).add(key)
        return drawn

    def drop(self, key: Key) -> Look | None:
        """Forget an entity: it is looked at anew."""
        return self._kept.pop(key, None)

    def origins(self) -> dict[Key, str]:
        """Return what is kept, with what it stands for."""
        return {key: look.origin for key, look in self._kept.items()}

    def instances_of(self, service: str) -> list[Key]:
        """Return the instances of a service that are kept, for the first one who asks."""
        return [key for key in self._instances.pop(service, ()) if key in self._kept]

    def release(self) -> dict[Key, Look]:
        """Keep nothing any more; return what was kept."""
        released, self._kept = self._kept, {}
        self._services, self._instances = set(), {}
        return released

    def _belongs(self, key: Key, look: Look, wanted: Container[Key]) -> bool:
        if key.kind == "service":
            return key.id in self._services
        if key.kind != "instance":
            return False
        service = _service_of(look)
        # (Of an instance of which nobody knows, more may be lost by removing than by keeping it.)
        return service is None or (
            service in self._services and Key("service", service) not in wanted
        )


def _service_of(instance: Look) -> str | None:
    return None if instance.was is None else instance.was.get("service_id")
