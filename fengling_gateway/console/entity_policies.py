"""The policies, as services, routes and the setting ``defaults`` have them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from fengling_gateway.console.entity_parts import (
    WHOLE,
    Claim,
    ConnectTimeout,
    HeaderValue,
    Network,
    Part,
    PlainPath,
    Slug,
    Timeout,
    Token,
    Word,
    about,
    at_most,
    lasting,
    within,
)

MAX_COUNT: Final = 1_000_000_000
UNKNOWN_POLICY: Final = "unknown_policy"
_FREE_NAME: Final = re.compile(r"x-[A-Za-z0-9._-]{1,98}")

LimitKey = Annotated[
    str,
    Field(
        pattern=r"^(?:all|api_key|client_ip|route|subject|tenant"
        r"|header:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100})$",
        examples=["client_ip", "header:X-Account"],
    ),
]
Parameter = Annotated[str, Field(pattern=r"^[!#$&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
Networks = Annotated[list[Network], at_most(1000)]
Words = Annotated[list[Word], at_most(100)]
HeaderNames = Annotated[list[Token], at_most(100)]
Headers = Annotated[dict[Token, HeaderValue], at_most(100)]
MaxAge = Annotated[str | float, lasting(0.0, 86400.0)]
Origin = Annotated[str, Field(max_length=300, examples=["https://app.example"])]
Protocol = Annotated[str, Field(max_length=101, examples=["websocket"])]


class Access(Part):
    """From which addresses a route may be asked."""

    allow: Networks = about("Where some are allowed, all others stay out.", [])
    deny: Networks = about("Who is denied stays out.", [])


class Auth(Part):
    """Who may ask a route, and how they show it."""

    mode: Literal["anonymous", "optional", "required"]
    methods: Annotated[list[Literal["api_key", "jwt"]], at_most(2)] = about(
        "By what.", ["api_key", "jwt"]
    )
    issuers: Annotated[list[Slug], at_most(50)] | None = about(
        "Whose tokens count; null: those of all issuers.", None
    )
    scopes: Words = about("All of which are needed.", [])
    roles: Words = about("One of which is needed.", [])
    claims: Annotated[
        dict[Claim, Annotated[list[Annotated[str, at_most(200)]], at_most(100)]], at_most(20)
    ] = about("Of each of these claims one of the values is needed.", {})
    cookie: Parameter | None = about("A cookie where a token may be.", None)
    query: Parameter | None = about("A parameter of the query where a token may be.", None)
    api_key_header: Token = about("Where an API key is.", "X-Api-Key")
    forward: bool = about("Whether instances get the token or key as well.", False)


class Concurrency(Part):
    """How many requests of one key may be under way at a time."""

    limit: Annotated[int, within(1, 1_000_000), WHOLE]
    key: LimitKey = about("Whose requests count together.", "client_ip")


class Cors(Part):
    """Which pages of other origins may ask a route."""

    origins: Annotated[list[Origin], at_most(200)] = about(
        "`*` is any, `https://*.app.example` all below a name."
    )
    methods: Annotated[list[Annotated[str, at_most(20)]], at_most(20)] = about(
        "Methods, or `*`.", ["GET", "HEAD", "POST"]
    )
    headers: HeaderNames = about("Headers of requests that pages may set.", [])
    expose: HeaderNames = about("Headers of answers that pages may read.", [])
    credentials: bool = about("Whether browsers send cookies along.", False)
    max_age: MaxAge = about("How long browsers remember it.", 600.0)


class Ejection(Part):
    """When a worker stops sending to an instance for a while; not of routes."""

    consecutive: Annotated[int, within(1, 1000), WHOLE] = about("After so many failures.", 5)
    base: Annotated[str | float, lasting(1.0, 300.0)] = about("For how long at first.", 30.0)
    max_share: Annotated[float, Field(ge=0, le=0.5)] = about("Of the instances, at most.", 0.5)


class Limits(Part):
    """How large requests may be."""

    max_request_body: Annotated[int, within(0, 2**50), WHOLE] | None = about("Bytes; null: any.")


class PathEdit(Part):
    """What becomes of the path towards instances."""

    strip: PlainPath | None = about("A prefix that is taken off, on a segment's border.", None)
    prefix: PlainPath | None = about("A prefix that is then put in front.", None)
    replace: Annotated[str, Field(pattern="^/")] | None = about(
        "What the whole path becomes, without strip and prefix.", None
    )
    encoded_slashes: bool = about("Whether a path may hold `%2F`.", False)


class HostHeader(Part):
    """What instances see as Host, whatever the service says."""

    value: Annotated[str, at_most(300)] = about("A host, and a port where there is one.")


class RateLimit(Part):
    """How often one may ask."""

    rate: Annotated[
        str, Field(pattern=r"^[0-9]{1,10}/[0-9]{0,5}[smhd]$", examples=["100/s", "5/10m"])
    ]
    burst: Annotated[int, within(1, MAX_COUNT), WHOLE] | None = about(
        "What a token_bucket lets in at once; null: as many as the rate says.", None
    )
    algorithm: Literal["token_bucket", "sliding_window"] = "token_bucket"
    key: LimitKey = about("Whose requests count together.", "client_ip")
    where: Literal["local", "global"] = about("global: all workers count together.", "local")
    on_redis_failure: Literal["local", "allow", "deny"] = about("Of a global one.", "local")
    headers: bool = about("Whether answers say what is left.", True)


class HeaderEdits(Part):
    """What becomes of headers."""

    set: Headers = about("Headers that have these values, whatever they were.", {})
    add: Headers = about("Headers that are there as well.", {})
    remove: HeaderNames = about("Headers that are taken off.", [])


class Retry(Part):
    """How often another instance is tried."""

    attempts: Annotated[int, within(0, 3), WHOLE]


class SecurityHeaders(Part):
    """What browsers are told about an answer."""

    preset: Literal["web", "api"] = "web"
    headers: Annotated[dict[Token, HeaderValue | None], at_most(100)] = about(
        "What differs from the preset; null leaves a header alone.", {}
    )


class Timeouts(Part):
    """How long requests may take; null is the service's, or none."""

    connect: ConnectTimeout | None = None
    first_byte: Timeout | None = None
    idle: Timeout | None = None
    total: Timeout | None = None
    tunnel: Timeout | None = about("After an upgrade, without a word from either side.", None)


class Upgrade(Part):
    """What clients may go on in after a 101."""

    protocols: Annotated[list[Protocol], at_most(20)] = about("`*` is any.")


def _free_names(schema: dict[str, Any]) -> None:
    schema["patternProperties"] = {f"^{_FREE_NAME.pattern}$": {}}
    schema["additionalProperties"] = False


class _FreeNames(Part):
    model_config = ConfigDict(extra="allow", json_schema_extra=_free_names)

    @model_validator(mode="after")
    def _only_free_names(self) -> Self:
        for name in self.model_extra or ():
            if not _FREE_NAME.fullmatch(name):
                raise PydanticCustomError(UNKNOWN_POLICY, "is not a known policy", {"name": name})
        return self


class Policies(_FreeNames):
    """
    Policies by name; null is off, and one that is not there is inherited.

    What is effective is that of the setting `defaults`, then the service's, then the route's.
    Names that begin with `x-` are free, for filters.
    """

    access: Access | None = None
    auth: Auth | None = None
    concurrency: Concurrency | None = None
    cors: Cors | None = None
    ejection: Ejection | None = None
    host_header: HostHeader | None = None
    limits: Limits | None = None
    path: PathEdit | None = None
    rate_limit: RateLimit | Annotated[list[RateLimit], Field(min_length=1, max_length=5)] | None = (
        None
    )
    request_headers: HeaderEdits | None = None
    response_headers: HeaderEdits | None = None
    retry: Retry | None = None
    security_headers: SecurityHeaders | None = None
    timeouts: Timeouts | None = None
    upgrade: Upgrade | None = None
