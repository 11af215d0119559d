"""What is done with a request that a route has won: forward, redirect or respond.

A plan is the effective policies of a route in the form that the request path
reads: numbers, byte strings and compiled edits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

from fengling_gateway.balancing.split import Split
from fengling_gateway.http.headers import Pair
from fengling_gateway.http.transforms import (
    NO_EDITS,
    HeaderEdits,
    LocationTemplate,
    PathEdit,
    compile_path,
)
from fengling_gateway.model.ejection import DEFAULT_EJECTION
from fengling_gateway.model.names import NEVER_UPGRADED
from fengling_gateway.routing.guards import (
    COUNTED,
    GUARD_POLICIES,
    Guards,
    compile_guards,
    response_edits,
    takes_preflights,
)

Policies = Mapping[str, Any]
PoliciesOf = Callable[[str], Policies]
EditsOf = Callable[[Mapping[str, Any] | None], HeaderEdits]

NO_POLICIES: Final[Policies] = {}

TUNNEL_TIMEOUT_SECONDS: Final = 600.0
"""Without a word in a tunnel. Most who keep one open say something every minute or less."""

_NEVER: Final = frozenset(name.encode() for name in NEVER_UPGRADED)
_PROTOCOL: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9a-z]+)(?:/[!#$%&'*+\-.^_`|~0-9a-z]+)?")

DEFAULT_POLICIES: Final[Policies] = {
    "ejection": DEFAULT_EJECTION,
    "limits": {"max_request_body": 10 * 1024 * 1024},
    "retry": {"attempts": 1},
    "upgrade": {"protocols": ["websocket"]},
}
"""
What holds where neither the setting ``defaults``, nor the service, nor the route says otherwise.

WebSocket, since a page that uses it would else not work behind the gateway and nobody know why.
10 MiB lets a document through and not a disk image. One retry covers an
instance that is just going away; which requests may be retried at all is the
data plane's rule.
"""


class ForwardPlan:
    """
    Forward to a service.

    Attributes:
        service_id: of the service; empty for a split.
        split: names the service where there are several, else None.
        branches: for a split, the plan by service id. Each service of a split
            has its own policies, so go on with ``branches[split.pick()]``.
        connect_timeout, first_byte_timeout, idle_timeout: seconds that override
            the service's; None = as the service says.
        guards: what is asked of a request first; None for nothing.
        host_header: what the Host header says upstream; None = as the service says.
        takes_preflights: whether it is for the guards to answer those of browsers.
        takes_encoded_slashes: whether ``%2F`` may stand in the path; it passes as it is.
        total_timeout: seconds for the whole exchange; None = unlimited. It does
            not bind tunnels.
        tunnel_timeout: seconds without a word from either side.
        upgrades: protocols, in lower case, that a client may go on in; ``*`` is any.
        request_headers: edits that leave identity headers alone.
        max_request_body: bytes; None = unlimited.
        retry_attempts: attempts after the first.
    """

    __slots__ = (
        "branches",
        "connect_timeout",
        "first_byte_timeout",
        "guards",
        "host_header",
        "idle_timeout",
        "max_request_body",
        "request_headers",
        "response_headers",
        "retry_attempts",
        "rewrite_path",
        "service_id",
        "split",
        "takes_encoded_slashes",
        "takes_preflights",
        "total_timeout",
        "tunnel_timeout",
        "upgrades",
    )

    def __init__(
        self,
        service_id: str,
        policies: Policies,
        edits: EditsOf,
        identity: frozenset[bytes],
        guards: Guards | None,
    ) -> None:
        timeouts = policies.get("timeouts") or NO_POLICIES
        self.service_id = service_id
        self.split: Split | None = None
        self.branches: dict[str, ForwardPlan] | None = None
        path = policies.get("path") or NO_POLICIES
        self.rewrite_path = compile_path(path)
        self.takes_encoded_slashes: bool = path.get("encoded_slashes") or False
        self.request_headers = edits(policies.get("request_headers")).sparing(identity)
        self.response_headers = edits(response_edits(policies))
        self.guards = guards
        self.host_header = _host_header(policies.get("host_header"))
        self.takes_preflights = takes_preflights(guards)
        self.connect_timeout = _seconds(timeouts.get("connect"))
        self.first_byte_timeout = _seconds(timeouts.get("first_byte"))
        self.idle_timeout = _seconds(timeouts.get("idle"))
        self.total_timeout = _seconds(timeouts.get("total"))
        self.tunnel_timeout = _seconds(timeouts.get("tunnel")) or TUNNEL_TIMEOUT_SECONDS
        limits = policies.get("limits") or NO_POLICIES
        self.max_request_body: int | None = limits.get("max_request_body")
        retry = policies.get("retry") or NO_POLICIES
        self.retry_attempts: int = retry.get("attempts") or 0
        upgrade = policies.get("upgrade") or NO_POLICIES
        self.upgrades = frozenset(name.encode() for name in upgrade.get("protocols") or ())

    def upgrade_to(self, offers: bytes) -> bytes | None:
        """
        Return the first of a client's offers that the route allows.

        HTTP/2 is never one: what it would carry then, nobody here would judge.
        """
        for offer in offers.split(b","):
            protocol = offer.strip(b" \t")
            name = protocol.lower()
            if name in self.upgrades or (b"*" in self.upgrades and _is_passed_on(name)):
                return protocol
        return None

    def __repr__(self) -> str:
        return f"<ForwardPlan {self.split or self.service_id}>"


class RedirectPlan:
    """Answer with a redirect; ``edit_path`` is what becomes of the path before, or None."""

    __slots__ = (
        "edit_path",
        "guards",
        "location",
        "response_headers",
        "status",
        "takes_preflights",
    )
    takes_encoded_slashes = False
    max_request_body = None
    split = None

    def __init__(
        self, redirect: Mapping[str, Any], response_headers: HeaderEdits, guards: Guards | None
    ) -> None:
        self.status: int = redirect["status"]
        self.location = LocationTemplate(redirect["location"])
        self.edit_path = PathEdit.compile(redirect.get("path"))
        self.response_headers = response_headers
        self.guards = guards
        self.takes_preflights = takes_preflights(guards)

    def __repr__(self) -> str:
        return f"<RedirectPlan {self.status}>"


class RespondPlan:
    """
    Answer with a fixed response.

    ``headers`` are its own, with a Content-Type in any case where there is a body.
    """

    __slots__ = ("body", "guards", "headers", "response_headers", "status", "takes_preflights")
    takes_encoded_slashes = False
    max_request_body = None
    split = None

    def __init__(
        self, respond: Mapping[str, Any], response_headers: HeaderEdits, guards: Guards | None
    ) -> None:
        self.status: int = respond["status"]
        self.body: bytes = respond["body"].encode()
        pairs = HeaderEdits.compile({"set": respond["headers"]}).pairs
        if self.body and not any(name.lower() == b"content-type" for name, _ in pairs):
            pairs += ((b"Content-Type", b"text/plain; charset=utf-8"),)
        self.headers: tuple[Pair, ...] = pairs
        self.response_headers = response_headers
        self.guards = guards
        self.takes_preflights = takes_preflights(guards)

    def __repr__(self) -> str:
        return f"<RespondPlan {self.status}>"


Plan = ForwardPlan | RedirectPlan | RespondPlan


class PlanCompiler:
    """
    Compiles plans against one state of the services and the defaults.

    Plans are shared between routes that have the same: most routes of a
    service say nothing of their own. A compiler must therefore not outlive the
    state it was made for.

    Args:
        policies_of: the policies of a service by its id; empty where it is unknown.
        defaults: the setting ``defaults``.
        rng: for the starting place of splits.
        identity: headers that say who was verified, as `HeaderEdits.names` has
            them. A route may have been accepted before they were chosen, but no
            route sets or removes one.
    """

    def __init__(
        self,
        policies_of: PoliciesOf,
        defaults: Policies,
        rng: Random,
        identity: frozenset[bytes] = frozenset(),
    ) -> None:
        self._policies_of = policies_of
        self._defaults = {**DEFAULT_POLICIES, **defaults}
        self._rng = rng
        self._identity = identity
        self._plans: dict[tuple[str, str], ForwardPlan] = {}
        self._edits: dict[str, HeaderEdits] = {}
        self._guards: dict[str, Guards | None] = {}

    def compile(self, route: Mapping[str, Any], previous: object = None) -> Plan:
        """
        Compile the plan of a canonical route body.

        Args:
            previous: the plan the route had. A split with the same weights goes
                on where it was.
        """
        policies = route["policies"]
        if route["service_id"] is not None:
            return self._forward(route["service_id"], policies, route["id"])
        if route["split"] is not None:
            return self._split(route, policies, previous)
        effective = {**self._defaults, **policies}
        places = _places(policies, route["id"], NO_POLICIES, "")
        guards = self._guards_of(effective, places)
        edits = self._edits_of(response_edits(effective))
        if route["redirect"] is not None:
            return RedirectPlan(route["redirect"], edits, guards)
        return RespondPlan(route["respond"], edits, guards)

    def _forward(self, service_id: str, policies: Policies, route_id: str) -> ForwardPlan:
        own = route_id if any(name in policies for name in COUNTED) else ""
        key = (service_id, own + str(policies) if policies else "")
        plan = self._plans.get(key)
        if plan is None:
            of_service = self._policies_of(service_id)
            effective = {**self._defaults, **of_service, **policies}
            guards = self._guards_of(effective, _places(policies, route_id, of_service, service_id))
            plan = ForwardPlan(service_id, effective, self._edits_of, self._identity, guards)
            self._plans[key] = plan
        return plan

    def _split(self, route: Mapping[str, Any], policies: Policies, previous: object) -> ForwardPlan:
        weights = route["split"]
        effective = {**self._defaults, **policies}
        plan = ForwardPlan("", effective, self._edits_of, self._identity, None)
        plan.branches = {
            service: self._forward(service, policies, route["id"]) for service in weights
        }
        plan.takes_preflights = any(one.takes_preflights for one in plan.branches.values())
        was = previous.split if isinstance(previous, ForwardPlan) else None
        if was is not None and was.has_weights(weights):
            plan.split = was
        else:
            plan.split = Split(weights, self._rng)
        return plan

    def _guards_of(self, policies: Policies, places: Mapping[str, str]) -> Guards | None:
        """Return the guards of effective policies, the same for the same."""
        key = str([(policies.get(name), places.get(name)) for name in GUARD_POLICIES])
        if key not in self._guards:
            self._guards[key] = compile_guards(policies, places)
        return self._guards[key]

    def _edits_of(self, policy: Mapping[str, Any] | None) -> HeaderEdits:
        if not policy:
            return NO_EDITS
        key = str(policy)
        edits = self._edits.get(key)
        if edits is None:
            edits = self._edits[key] = HeaderEdits.compile(policy)
        return edits


def _places(
    policies: Policies, route_id: str, of_service: Policies, service_id: str
) -> dict[str, str]:
    """Return where each of the policies that count is configured."""
    return {
        name: f"route:{route_id}"
        if name in policies
        else f"service:{service_id}"
        if name in of_service
        else "defaults"
        for name in COUNTED
    }


def compile_plan(
    route: Mapping[str, Any],
    service_policies: Policies,
    defaults: Policies,
    rng: Random | None = None,
) -> Plan:
    """Compile one plan; `service_policies` are those of every service that the route names."""
    return PlanCompiler(lambda _: service_policies, defaults, rng or Random(0)).compile(route)


def _is_passed_on(protocol: bytes) -> bool:
    """Whether it is a protocol as HTTP writes them, and none of those that never pass."""
    match = _PROTOCOL.fullmatch(protocol)
    return match is not None and match[1] not in _NEVER


def _host_header(policy: Mapping[str, Any] | None) -> bytes | None:
    return policy["value"].encode() if policy else None


def _seconds(value: float | None) -> float | None:
    return None if value is None else float(value)
