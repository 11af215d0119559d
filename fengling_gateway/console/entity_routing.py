"""What routes requests: routes, services, instances, tenants and settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fengling_gateway.console.entity_parts import (
    WHOLE,
    ConnectTimeout,
    HeaderValue,
    Host,
    Instant,
    Method,
    Name,
    Network,
    Nothing,
    Part,
    Pem,
    PlainPath,
    Slug,
    Timeout,
    Token,
    about,
    at_most,
    lasting,
    within,
)
from fengling_gateway.console.entity_policies import Policies

Hosts = Annotated[list[Host], at_most(500)]
Operator = Literal["equals", "prefix", "contains", "exists", "absent"]
Weight = Annotated[int, within(0, 65535), WHOLE]
Interval = Annotated[str | float, lasting(0.1, 3600.0)]
Count = Annotated[int, within(1, 100), WHOLE]
Status = Annotated[
    Annotated[str, Field(pattern="^[2-5][0-9][0-9](?:-[2-5][0-9][0-9])?$", examples=["200-399"])]
    | Annotated[int, within(200, 599)],
    WHOLE,
]
RedirectStatus = Annotated[Literal[301, 302, 303, 307, 308], WHOLE]


class Condition(Part):
    """What a header, a cookie or a parameter of the query must be."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    op: Operator = "equals"
    value: Annotated[str, at_most(4096)] | None = about(
        "What to compare with; null for exists and absent.", None
    )
    ignore_case: bool = False


Conditions = Annotated[list[Condition], at_most(50)]


class Match(Part):
    """What must be true of a request besides its host, path and method."""

    headers: Conditions = about("Of each header that is named here.", [])
    query: Conditions = about("Of each parameter of the query.", [])
    cookies: Conditions = about("Of each cookie.", [])
    client_ip: Annotated[list[Network], at_most(500)] = about("Networks; none is any.", [])
    listeners: Annotated[list[Slug], at_most(50)] = about("Names; none is any.", [])
    counts_as: Annotated[int, within(0, 2**53 - 1), WHOLE] | None = about(
        "As how many conditions these count in the order of routes; null: as many as they are.",
        None,
    )
    claims: None = about("Not supported yet.", None)


class RedirectedPath(Part):
    """What becomes of the path before it is `{path}`; it must not be empty."""

    strip: PlainPath | None = about("A prefix that is taken off, on a segment's border.", None)
    prefix: PlainPath | None = about("A prefix that is then put in front.", None)


class Redirect(Part):
    """An answer that leads elsewhere."""

    status: RedirectStatus = 302
    location: Annotated[
        str,
        Field(
            pattern=r"^[!#-;=?-\[\]_a-z{}~]{1,2000}$",
            description="A URL or a path, with `{path}`, `{query}` (with its `?`), `{host}` and "
            "`{hostname}` (without a port).",
            examples=["https://new.example{path}{query}"],
        ),
    ]
    path: RedirectedPath | None = about("What becomes of `{path}`; null: nothing.", None)


class Respond(Part):
    """An answer of the gateway's own."""

    status: Annotated[int, within(200, 599), WHOLE] = 200
    headers: Annotated[dict[Token, HeaderValue], at_most(100)] = about("Of the answer.", {})
    body: Annotated[str, at_most(60_000)] = ""


class Route(Part):
    """Which requests, and what becomes of them: one of service_id, split, redirect, respond."""

    tenant_id: Slug | None = about("null: for every tenant.", None)
    enabled: bool = True
    priority: Annotated[int, within(-(2**31), 2**31 - 1), WHOLE] = about("Higher goes first.", 0)
    hosts: Hosts = about("None is any.", [])
    path: Annotated[
        str, Field(max_length=1001, pattern="^[/~]", examples=["/orders/{id}", "~^/v[0-9]+/"])
    ] = about("A template, or `~` and an RE2 expression.", "/{**rest}")
    methods: Annotated[list[Method], at_most(40)] = about("None is any.", [])
    match: Match | None = about("Further conditions.", {})
    service_id: Slug | None = about("A service.", None)
    split: Annotated[dict[Slug, Weight], Field(min_length=1, max_length=100)] | None = about(
        "Services with their weights, not all of them 0.", None
    )
    redirect: Redirect | None = None
    respond: Respond | None = None
    policies: Policies = about("What differs from the service's and the defaults.", {})
    valid_from: Instant | None = None
    valid_to: Instant | None = None


class ServiceTls(Part):
    """How to speak TLS to instances; null is all of these defaults."""

    verify: bool = True
    ca: Pem | None = about("Authorities; null: those of the host's system.", None)
    client_certificate: Slug | None = about("A certificate that we show.", None)
    sni: Annotated[str, at_most(254)] | None = about("A name to ask for, and to verify.", None)


class HealthCheck(Part):
    """How instances are probed; what is of http alone, tcp does not have."""

    type: Literal["http", "tcp"] = "http"
    path: Annotated[str, Field(pattern=r"^/[\x21\x22\x24-\x7e]{0,1999}$")] = about("Of http.", "/")
    method: Literal["GET", "HEAD"] = about("Of http.", "GET")
    host: Annotated[str, at_most(300)] | None = about(
        "Of http: what is said as Host; null: the instance's address.", None
    )
    headers: Annotated[dict[Token, HeaderValue], at_most(20)] = about("Of http.", {})
    expected: Annotated[list[Status], Field(min_length=1, max_length=50)] = about(
        "Of http: statuses that are right.", ["200-399"]
    )
    body: Annotated[str, Field(min_length=1, max_length=1000)] | None = about(
        "Of http: what must be in the answer; null: it is not looked at.", None
    )
    interval: Interval = about("Between two probes.", 5.0)
    timeout: Annotated[str | float, lasting(0.01, 60.0)] = about(
        "For a whole probe; at most the interval.", 2.0
    )
    rise: Count = about("Probes in a row that make it healthy.", 2)
    fall: Count = about("Probes in a row that make it unhealthy.", 3)
    jitter: Annotated[float, Field(ge=0, le=0.5)] = about(
        "The share of the interval by which probes are spread.", 0.2
    )
    unhealthy_interval: Interval | None = about("While it is unhealthy; null: as ever.", None)
    idle_interval: Interval | None = about("While nothing is sent to it; null: as ever.", None)


class Service(Part):
    """A group of equal instances."""

    name: Name | None = about("What people call it.", "")
    enabled: bool = True
    balancing: Literal[
        "power_of_two", "weighted_round_robin", "round_robin", "least_requests", "random"
    ] = "power_of_two"
    protocol: Literal["http1"] = "http1"
    host_header: Annotated[str, at_most(300)] = about(
        "What instances see as Host: the `client`'s, the `instance`'s address, or a host (and port).",
        "client",
    )
    connect_timeout: ConnectTimeout = 3.0
    first_byte_timeout: Timeout = about("Until the answer begins.", 30.0)
    idle_timeout: Timeout = about("Between any two reads or writes.", 60.0)
    tenant_spill: bool = about(
        "Whether a tenant whose own instances are out may use shared ones.", False
    )
    health_check: HealthCheck | None = about("How instances are probed; null: not at all.", None)
    affinity: None = about("Not supported yet.", None)
    tls: ServiceTls | None = None
    policies: Policies = about("What differs from the defaults.", {})


class Instance(Part):
    """One address of a service."""

    service_id: Slug = about("Whose it is.")
    tenant_id: Slug | None = about("It serves this tenant alone.", None)
    address: Annotated[str, Field(max_length=300, examples=["http://10.0.0.5:8080"])]
    weight: Weight = about("0 gets nothing new.", 1)
    state: Literal["ready", "drain", "maintenance"] = about(
        "Neither drain nor maintenance get anything new.", "ready"
    )
    zone: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class Tenant(Part):
    """A customer, bound to hosts or a prefix of paths."""

    name: Name | None = about("What people call it.", "")
    enabled: bool = True
    hosts: Hosts = about("Whose requests are its.", [])
    path_prefix: PlainPath | None = about("Below which all requests are its.", None)
    limits: Nothing = about("Not supported yet.", {})


class Hold(Part):
    """When a change has to be confirmed."""

    max_removed_share: Annotated[float, Field(ge=0, le=1)] = about(
        "The largest share of the routes that a revision may remove.", 0.5
    )


class IdentityHeaders(Part):
    """The headers that tell instances who was verified."""

    name: Token = "X-User-Name"
    roles: Token = "X-Roles"
    tenant: Token = "X-Tenant-Id"
    user: Token = "X-User-Id"


class Defaults(Part):
    """Policies for all routes that don't say otherwise."""

    key: Literal["defaults"]
    value: Policies


class HoldSetting(Part):
    """When a change has to be confirmed."""

    key: Literal["hold"]
    value: Hold


class IdentityHeadersSetting(Part):
    """The headers that tell instances who was verified."""

    key: Literal["identity_headers"]
    value: IdentityHeaders


class TrustedProxies(Part):
    """Networks whose X-Forwarded-* headers are believed."""

    key: Literal["trusted_proxies"]
    value: Annotated[list[Network], at_most(500)]
