"""The conditions of a route beyond host, path and method.

Each is compiled once, shared by the routes that say the same, and answers
`holds` on the request path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_network
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from fengling_gateway.routing.fields import parse_address, parse_cookies, parse_query


class RequestView(Protocol):
    """What routing may know of a request; attributes are read once or twice per match."""

    @property
    def listener(self) -> str: ...
    @property
    def host(self) -> bytes:
        """Lower case, without port and trailing dot; empty when there is none."""

    @property
    def path(self) -> bytes:
        """As received; starts with ``/``."""

    @property
    def query(self) -> bytes:
        """As received, without the ``?``."""

    @property
    def method(self) -> bytes: ...
    @property
    def peer(self) -> str:
        """The client's address; what is not an IP address is in no network."""

    def header(self, lower_name: bytes) -> bytes | None:
        """All values of a header joined by ``, ``; None when it is absent."""


class Field(NamedTuple):
    """
    Something of which a request has one value, or none.

    Attributes:
        kind: ``header``, ``query``, ``cookie`` or ``method``.
        name: empty for the method.
        ignore_case: whether the value is compared in lower case.
    """

    kind: str
    name: bytes
    ignore_case: bool

    def value_in(self, request: RequestView) -> bytes | None:
        """Return a request's value, in lower case if case is ignored."""
        value = _VALUES[self.kind](request, self.name)
        return value.lower() if value is not None and self.ignore_case else value


def _header(request: RequestView, name: bytes) -> bytes | None:
    return request.header(name)


def _query(request: RequestView, name: bytes) -> bytes | None:
    return parse_query(request.query).get(name)


def _cookie(request: RequestView, name: bytes) -> bytes | None:
    return parse_cookies(request.header(b"cookie") or b"").get(name)


def _method(request: RequestView, name: bytes) -> bytes | None:  # noqa: ARG001  it has none
    return request.method


_VALUES: Final[Mapping[str, Callable[[RequestView, bytes], bytes | None]]] = {
    "header": _header,
    "query": _query,
    "cookie": _cookie,
    "method": _method,
}


class Condition(Protocol):
    """One requirement of a route."""

    @property
    def wanted(self) -> tuple[Field, bytes] | None:
        """The value that a field must have; None where it is not one value."""

    def holds(self, request: RequestView) -> bool: ...
    def describe(self) -> str:
        """Say the requirement in the words of the route: ``header x-canary equals '1'``."""

    def excludes(self, other: Condition) -> bool:
        """Whether certainly no request meets both; false where that is not known."""


class ValueTest:
    """What a header, query parameter or cookie must be."""

    __slots__ = ("_ignore_case", "_operator", "_value")

    def __init__(self, operator: str, value: str | None, *, ignore_case: bool) -> None:
        wanted = (value or "").encode()
        self._operator = operator
        self._value = wanted.lower() if ignore_case else wanted
        self._ignore_case = ignore_case

    def accepts(self, value: bytes | None) -> bool:
        operator = self._operator
        if value is None:
            return operator == "absent"
        if self._ignore_case:
            value = value.lower()
        if operator == "equals":
            return value == self._value
        if operator == "prefix":
            return value.startswith(self._value)
        if operator == "contains":
            return self._value in value
        return operator == "exists"

    @property
    def ignores_case(self) -> bool:
        return self._ignore_case

    @property
    def wanted(self) -> bytes | None:
        """The one value that passes, in lower case if case is ignored; None if there are others."""
        return self._value if self._operator == "equals" else None

    def excludes(self, other: ValueTest) -> bool:
        """Whether certainly no value passes both."""
        operators = {self._operator, other._operator}
        if "absent" in operators:
            return len(operators) == 2
        if operators != {"equals"}:
            return False
        if self._ignore_case or other._ignore_case:
            return self._value.lower() != other._value.lower()
        return self._value != other._value

    def describe(self) -> str:
        if self._operator in ("exists", "absent"):
            return self._operator
        suffix = ", ignoring case" if self._ignore_case else ""
        return f"{self._operator} {self._value.decode()!r}{suffix}"


class _FieldCondition:
    """A test of one named value; subclasses say which kind."""

    __slots__ = ("_name", "_test")

    kind: ClassVar[str]

    def __init__(self, name: str, test: ValueTest) -> None:
        self._name = name.encode()
        self._test = test

    @property
    def wanted(self) -> tuple[Field, bytes] | None:
        value = self._test.wanted
        return value if value is None else (self._field, value)

    @property
    def _field(self) -> Field:
        return Field(self.kind, self._name, self._test.ignores_case)

    def holds(self, request: RequestView) -> bool:
        return self._test.accepts(_VALUES[self.kind](request, self._name))

    def describe(self) -> str:
        return f"{self.kind} {self._name.decode()} {self._test.describe()}"

    def excludes(self, other: Condition) -> bool:
        return (
            isinstance(other, _FieldCondition)
            and other.kind == self.kind
            and other._name == self._name
            and self._test.excludes(other._test)
        )


class HeaderCondition(_FieldCondition):
    """A header's value; several lines of one header are compared joined by ``, ``."""

    __slots__ = ()

    kind = "header"


class QueryCondition(_FieldCondition):
    """A query parameter, percent-decoded; of several with one name the first counts."""

    __slots__ = ()

    kind = "query"


class CookieCondition(_FieldCondition):
    """A cookie; of several with one name the first counts."""

    __slots__ = ()

    kind = "cookie"


class ClientCondition:
    """The client's address lies in one of some networks."""

    __slots__ = ("_networks", "_text")

    wanted = None

    def __init__(self, networks: tuple[str, ...]) -> None:
        parsed = [ip_network(text, strict=False) for text in networks]
        self._networks = tuple(
            (net.version, int(net.netmask), int(net.network_address)) for net in parsed
        )
        self._text = ", ".join(networks)

    def holds(self, request: RequestView) -> bool:
        version, number = parse_address(request.peer)
        for wanted, mask, network in self._networks:
            if version == wanted and number & mask == network:
                return True
        return False

    def describe(self) -> str:
        return f"client_ip in {self._text}"

    def excludes(self, other: Condition) -> bool:
        return False  # not compared: a tie told needlessly does no harm


class ListenerCondition:
    """The request came in by one of some listeners."""

    __slots__ = ("_names",)

    wanted = None

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(names)

    def holds(self, request: RequestView) -> bool:
        return request.listener in self._names

    def describe(self) -> str:
        return f"listener in {', '.join(sorted(self._names))}"

    def excludes(self, other: Condition) -> bool:
        return isinstance(other, ListenerCondition) and not self._names & other._names


_FIELDS: Final = (
    ("headers", HeaderCondition),
    ("query", QueryCondition),
    ("cookies", CookieCondition),
)


def compile_conditions(match: Mapping[str, Any]) -> tuple[Condition, ...]:
    """
    Compile a route's canonical ``match``, cheapest tests first.

    Raises:
        ValueError: a network in ``client_ip`` is none.
    """
    found: list[Condition] = []
    if match.get("listeners"):
        found.append(_listener_condition(tuple(match["listeners"])))
    for key, kind in _FIELDS:
        found += [
            _field_condition(
                kind, item["name"], item["op"], item["value"], bool(item["ignore_case"])
            )
            for item in match.get(key) or ()
        ]
    if match.get("client_ip"):
        found.append(_client_condition(tuple(match["client_ip"])))
    return tuple(found)


# Routes repeat one another's conditions: equal ones become one object.


@lru_cache(maxsize=4096)
def _field_condition(
    kind: type[HeaderCondition | QueryCondition | CookieCondition],
    name: str,
    operator: str,
    value: str | None,
    ignore_case: bool,
) -> Condition:
    return kind(name, ValueTest(operator, value, ignore_case=ignore_case))


@lru_cache(maxsize=1024)
def _listener_condition(names: tuple[str, ...]) -> Condition:
    return ListenerCondition(names)


@lru_cache(maxsize=1024)
def _client_condition(networks: tuple[str, ...]) -> Condition:
    return ClientCondition(networks)
