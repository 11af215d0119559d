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
        lately: how many have gone shortly before, that nobody has confirmed.
    """

    later: frozenset[str] = frozenset()
    confirmed: frozenset[str] = frozenset()
    lately: int = 0


class Withheld:
    """
    Routes, and what they need; not looked at again before they are released.

    Attributes:
        services: which the routes need.
    """

    def __init__(self) -> None:
        self._routes: dict[Key, Look] = {}
        # What routes need, by its service; None where nobody knows it.
        self._needed: dict[str | None, dict[Key, Look]] = {}
        self._service_of: dict[Key, str | None] = {}
        self.services: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Withheld: {len(self)}>"

    def __len__(self) -> int:
        return len(self._routes) + len(self._service_of)

    def __contains__(self, key: Key) -> bool:
        return key in self._routes or key in self._service_of

    @property
    def routes(self) -> Mapping[Key, Look]:
        return self._routes

    def keep(self, routes: Mapping[Key, Look], services: Iterable[str]) -> dict[Key, Look]:
        """
        Keep routes beside those that are kept; return what none of them needs any more.

        Args:
            services: which all of them need.
        """
        self._routes.update(routes)
        self.services = frozenset(services)
        return self._free(self._needed.keys() - self.services - {None})

    def draw(self, going: Mapping[Key, Look], wanted: Container[Key]) -> list[Key]:
        """Keep what of some entities that are to go belongs to routes that are kept; return it."""
        drawn = [key for key, look in going.items() if self._belongs(key, look, wanted)]
        for key in drawn:
            service = key.id if key.kind == "service" else _service_of(going[key])
            self._needed.setdefault(service, {})[key] = going[key]
            self._service_of[key] = service
        return drawn

    def drop(self, key: Key) -> Look | None:
        """Forget an entity: it is looked at anew."""
        if key not in self._service_of:
            return self._routes.pop(key, None)
        service = self._service_of.pop(key)
        needed = self._needed[service]
        look = needed.pop(key)
        if not needed:
            del self._needed[service]
        return look

    def instances_of(self, service: str) -> list[Key]:
        """Return the instances of a service that are kept."""
        return [key for key in self._needed.get(service, ()) if key.kind == "instance"]

    def release_routes(self) -> dict[Key, Look]:
        """Keep no routes, for now; return them. What they need is kept on."""
        released, self._routes = self._routes, {}
        return released

    def release_needed(self) -> dict[Key, Look]:
        """Keep nothing any more of what routes need; return it."""
        self.services = frozenset()
        return self._free(set(self._needed))

    def _free(self, services: Iterable[str | None]) -> dict[Key, Look]:
        freed: dict[Key, Look] = {}
        for service in services:
            freed |= self._needed.pop(service)
        for key in freed:
            del self._service_of[key]
        return freed

    def _belongs(self, key: Key, look: Look, wanted: Container[Key]) -> bool:
        if key.kind == "service":
            return key.id in self.services
        if key.kind != "instance":
            return False
        service = _service_of(look)
        # (Of an instance of which nobody knows, more may be lost by removing than by keeping it.)
        return service is None or (
            service in self.services and Key("service", service) not in wanted
        )


def _service_of(instance: Look) -> str | None:
    return None if instance.was is None else instance.was.get("service_id")
