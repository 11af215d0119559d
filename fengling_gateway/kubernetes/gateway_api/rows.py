"""
The rows that the rules of HTTPRoutes come to. Pure.

Several listeners of Gateways may be one listener of the gateways, and a listener's hostname narrows
what a route gets there. So each match is looked at for each listener and host by itself: who of
several with the very same match gets them, and which of them one row can say together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.attachment import Attached
from fengling_gateway.kubernetes.gateway_api.gateways import JudgedGateway
from fengling_gateway.kubernetes.gateway_api.hostnames import covers
from fengling_gateway.kubernetes.gateway_api.http_routes import HttpRoute
from fengling_gateway.kubernetes.gateway_api.matches import CompiledMatch
from fengling_gateway.kubernetes.gateway_api.rules import CompiledRule
from fengling_gateway.kubernetes.gateway_api.world import Row
from fengling_gateway.kubernetes.ids import entity_id

_LONGEST: Final = 85
"""Of an id without its dash and dot: names of listeners may come behind it."""

_DIGEST: Final = 12

Host = str | None
Taken = dict[tuple[str, Host, tuple[Any, ...]], str]
"""Who has a match, by listener, host, and the match's identity."""


class Place(NamedTuple):
    """
    A listener of the gateways, and the hosts that a route gets there.

    Attributes:
        scheme, port: of the Gateway's listener.
    """

    listener: str
    hosts: tuple[Host, ...]
    scheme: str
    port: int


class Group(NamedTuple):
    """Places that one row can say together; without hosts it is any."""

    hosts: tuple[str, ...]
    scheme: str
    port: int
    listeners: tuple[str, ...]


def places_of(attached: Iterable[Attached]) -> tuple[Place, ...]:
    """Return where a route is served, one place for each listener of the gateways."""
    found: dict[str, Place] = {}
    for one in attached:
        if not one.is_served:
            continue
        listener, hosts = one.judged.host_listener, _own_hosts(one)
        place = found.get(listener)
        if place is None:
            found[listener] = Place(listener, hosts, one.judged.scheme, one.judged.listener.port)
        else:
            found[listener] = place._replace(hosts=tuple(dict.fromkeys((*place.hosts, *hosts))))
    return tuple(found[name] for name in sorted(found))


def rows_of(
    route: HttpRoute, rules: Sequence[CompiledRule], places: Sequence[Place], taken: Taken
) -> tuple[dict[str, Row], list[str]]:
    """
    Return the rows of a route by their ids, and what is to be said of matches that are left out.

    Args:
        taken: the matches of all routes that come before, to which this route's are added.
    """
    rows: dict[str, Row] = {}
    left_out: list[str] = []
    namespace, name = route.metadata.name
    for at, rule in enumerate(rules):
        for position, match in enumerate(rule.matches):
            if match is None:
                continue
            where = f"{rule.where}.matches[{position}]"
            kept = [
                _kept(place, match, where, str(route.metadata.name), taken, left_out)
                for place in places
            ]
            base = _base_id(namespace, name, f"{at:02d}.{position:02d}")
            rows.update(_rows(base, rule, match, kept))
    return rows, left_out


def isolating_rows(gateway: JudgedGateway) -> dict[str, Row]:
    """
    Return rows that keep requests for a listener from routes of less specific ones.

    A request for a host that a listener has of its own is that listener's alone: where none of its
    routes takes it, it is answered with 404. Only where some listener of the same port would get
    it else.
    """
    served = [one for one in gateway.listeners if gateway.serves(one)]
    rows = {}
    for one in served:
        host = one.listener.hostname
        wider = [
            other
            for other in served
            if _is_narrower(host, other.listener.hostname)
            and other.listener.port == one.listener.port
        ]
        if host is not None and wider:
            name = entity_id(*gateway.gateway.metadata.name, one.listener.name)
            rows[entity_id(name, "else", separator="_")] = _not_found(host, one.host_listener)
    return rows


def _own_hosts(attached: Attached) -> tuple[Host, ...]:
    """Return the hosts but those that a more specific listener of the same port has."""
    listener = attached.judged.listener
    others = [
        one.listener.hostname
        for one in attached.gateway.listeners
        if one.listener.port == listener.port
        and attached.gateway.serves(one)
        and _is_narrower(one.listener.hostname, listener.hostname)
    ]
    return tuple(
        host for host in attached.hosts if not any(covers(other, host) for other in others)
    )


def _is_narrower(one: Host, other: Host) -> bool:
    return one != other and covers(other, one)


def _kept(
    place: Place, match: CompiledMatch, where: str, name: str, taken: Taken, left_out: list[str]
) -> Place:
    """Return the place with the hosts for which nobody else has the match."""
    hosts = []
    for host in place.hosts:
        key = (place.listener, host, match.identity)
        owner = taken.setdefault(key, f"{name} {where}")
        if owner == f"{name} {where}":
            hosts.append(host)
        else:
            left_out.append(
                f"{where} is left out on listener {place.listener} for {host or 'any host'}: "
                f"{owner} is the same"
            )
    return place._replace(hosts=tuple(hosts))


def _rows(
    base: str, rule: CompiledRule, match: CompiledMatch, places: Sequence[Place]
) -> Iterator[tuple[str, Row]]:
    groups = list(_groups(places, apart=rule.depends_on_listener))
    for group in groups:
        row = rule.row(match, group.scheme, group.port)
        row["hosts"] = list(group.hosts)
        row["match"]["listeners"] = list(group.listeners)
        yield (base if len(groups) == 1 else _id_of(base, group)), row


def _base_id(namespace: str, name: str, place: str) -> str:
    """Return the id of a match; the order of ids is that of the route's matches, also of long ones."""
    whole = entity_id(namespace, name, place)
    if whole.endswith(f".{place}"):
        return whole
    # (What shortens ids would take the place away, and leave a digest in its stead.)
    digest = sha256(f"{namespace}.{name}".encode()).hexdigest()[:_DIGEST]
    return f"{namespace}.{name}"[: _LONGEST - _DIGEST - len(place)] + f"-{digest}.{place}"


def _id_of(base: str, group: Group) -> str:
    return entity_id(base, group.listeners[0] + ("" if group.hosts else ".any"), separator="_")


def _groups(places: Sequence[Place], *, apart: bool) -> Iterator[Group]:
    """
    Return the places in as few groups as there can be.

    Any host is a group of its own: a row that says any host and some says any, and would come
    after rows that say those.

    Args:
        apart: whether places with another scheme or port must not share a group.
    """
    found: dict[tuple[Any, ...], Group] = {}
    for place in places:
        named = tuple(sorted(host for host in place.hosts if host is not None))
        for hosts in (named, ()):
            if not hosts and None not in place.hosts:
                continue
            key = (hosts, place.scheme, place.port) if apart else (hosts,)
            group = found.get(key, Group(hosts, place.scheme, place.port, ()))
            found[key] = group._replace(listeners=(*group.listeners, place.listener))
    return iter(found.values())


def _not_found(host: str, listener: str) -> Row:
    match: Mapping[str, Any] = {"headers": [], "query": [], "listeners": [listener], "counts_as": 0}
    return {
        "hosts": [host],
        "path": "~^/.*$",
        "methods": [],
        "match": match,
        "service_id": None,
        "split": None,
        "redirect": None,
        "respond": {"status": 404, "headers": {}, "body": ""},
        "policies": {},
    }
