"""
The settings of a host: what is not configuration that all hosts share.

Every field says here what it is, in which unit and why its default; the
sample in ``etc/`` is made from it.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from fengling_gateway.http.redacting import SECRET_PARAMETERS
from fengling_gateway.settings.access_log import AccessLogSettings
from fengling_gateway.settings.cpus import available_cpus
from fengling_gateway.settings.otlp import OtlpEndpoint, OtlpHeaders, parse_headers
from fengling_gateway.settings.section import Section
from fengling_gateway.settings.values import (
    Address,
    DatabaseUrl,
    Directory,
    Grace,
    Keys,
    Name,
    NameServer,
    Network,
    RedisUrl,
    Seconds,
    Silence,
    Size,
    Word,
    name_server,
    refuse,
    split_address,
)

if TYPE_CHECKING:
    from fengling_gateway.dataplane.settings import DataPlaneSettings

MAX_WORKERS = 512


class DatabaseSettings(Section):
    """PostgreSQL, the source of the configuration (with source = "database")."""

    url: DatabaseUrl | None = Field(
        default=None,
        repr=False,
        description="Where the configuration is. The role needs no more than fengling_gateway. Over "
        "a network add ?sslmode=verify-full&sslrootcert=<file or system>.",
        examples=["postgresql://gateway:secret@127.0.0.1:5432/fengling"],
    )
    listen_url: DatabaseUrl | None = Field(
        default=None,
        repr=False,
        description="For LISTEN, where it differs: not through a pooler in transaction mode.",
        examples=["postgresql://gateway:secret@127.0.0.1:5432/fengling"],
    )
    listen: bool = Field(
        default=True, description="Whether to LISTEN. Without it changes are seen by polling alone."
    )
    poll_interval: Seconds = Field(
        default=5.0,
        description="How often to look without a reason. What every notification falls back to.",
    )
    compare_interval: Seconds = Field(
        default=600.0,
        description="How often to compare everything, for changes that triggers can't see.",
    )
    connect_timeout: Seconds = Field(default=5.0, description="For a new connection.")
    statement_timeout: Seconds = Field(
        default=30.0, description="For a statement. A full read of 100,000 routes takes seconds."
    )


class FileSettings(Section):
    """One YAML file as the source of the configuration (with source = "file")."""

    path: Path | None = Field(
        default=None,
        description="The file; relative to this one. It is watched, and applied as a whole.",
        examples=["/etc/fengling/routes.yaml"],
    )


class RedisSettings(Section):
    """Redis or Valkey, for telling other hosts that there is something new. Optional."""

    url: RedisUrl | None = Field(
        default=None,
        repr=False,
        description="Unset: hosts hear of changes from the database alone. Needs [sync] keys. With "
        "rediss:// the server is verified; ?ssl_ca_certs=, ssl_certfile= and ssl_keyfile= name "
        "files for that.",
        examples=["redis://127.0.0.1:6379/0"],
    )
    limit_interval: Seconds = Field(
        default=0.2,
        ge=0.05,
        le=5.0,
        description="How often workers tell each other what they let in of global rate limits. "
        "Until then each may let in what only one should.",
    )
    limit_deadline: Seconds = Field(
        default=1.0,
        ge=0.1,
        le=60.0,
        description="How long Redis may not answer before those limits do what their "
        "on_redis_failure says.",
    )
    limit_batch: int = Field(
        default=200,
        ge=1,
        le=1000,
        description="Clients (or other keys) that are told of in one call: Redis is busy for "
        "some 3 ms per 1000.",
    )


class SyncSettings(Section):
    """How processes and hosts keep in step."""

    push: bool = Field(
        default=True,
        description="Whether the supervisor pushes changes to its workers at once. If not, "
        "workers ask for them when they hear an announcement on Redis.",
    )
    keys: Keys = Field(
        default=[],
        repr=False,
        description="The keys that messages on Redis are signed with, the same on all hosts of "
        'a cluster: "id:secret" with 32 random bytes (openssl rand -hex 32). The first one '
        "signs, all verify. Better kept out of this file: keys_file, or the environment.",
        examples=[["2026-11:<openssl rand -hex 32>"]],
    )


class CertificateFiles(Section):
    """A certificate in files of this host."""

    chain: Path = Field(description="PEM: the host's own certificate, then who issued it.")
    key: Path = Field(description="PEM, not encrypted; it may be the same file.")


class ListenerTlsSettings(Section):
    """How a listener speaks TLS."""

    certificates: list[CertificateFiles] = Field(
        default=[],
        max_length=1000,
        description="Offered by the names in them, beside those of the table certificate.",
    )
    min_version: Literal["1.2", "1.3"] = "1.2"
    client_ca: Path | None = Field(
        default=None, description="PEM: who issues clients' certificates."
    )
    client_auth: Literal["none", "optional", "required"] = "none"

    @model_validator(mode="after")
    def _can_verify(self) -> ListenerTlsSettings:
        if (self.client_auth == "none") != (self.client_ca is None):
            raise refuse(
                "required", 'must have both client_ca and a client_auth but "none", or neither'
            )
        return self


class ListenerLimitSettings(Section):
    """What the clients of one listener may take, before they are refused or cut off."""

    max_head_bytes: Size = Field(
        default=32 * 1024, ge=1024, description="Of a request's or response's head; more: 431."
    )
    max_header_line_bytes: Size = Field(
        default=8 * 1024, ge=256, description="Of one header line; more: 431."
    )
    max_target_bytes: Size = Field(
        default=8 * 1024, ge=256, description="Of a request target; more: 414."
    )
    max_headers: int = Field(
        default=100, ge=10, le=10_000, description="Lines in a head; more: 431."
    )
    header_deadline: Seconds = Field(
        default=10.0, description="For a whole head, however its bytes trickle in; then 408."
    )
    keepalive_idle: Seconds = Field(
        default=75.0, description="Between two requests of a connection."
    )
    keepalive_requests: int = Field(default=1000, ge=1, description="Requests on one connection.")
    keepalive_age: Seconds = Field(
        default=3600.0, description="How old a connection may be to carry another request."
    )
    min_body_rate: int = Field(
        default=1000,
        ge=0,
        description="Bytes a second that a request's body must arrive at; less: 408. 0: any.",
    )
    body_grace: Seconds = Field(
        default=10.0, description="Over so long that is judged, from the body's beginning on."
    )


class ListenerSettings(Section):
    """An address that takes traffic. A route may name the listeners that it is for."""

    name: Name = Field(description="What routes call it (match.listeners).", examples=["http"])
    address: Address = Field(description="host:port.", examples=["0.0.0.0:8000"])
    tls: ListenerTlsSettings | None = Field(
        default=None,
        description="With it the listener speaks TLS. certificates: files of this host; each "
        "is shown to who asks for a name in it, the first one also to who asks for none or "
        "another. Those of the table `certificate` join them. HUP reads the files again. "
        'min_version: "1.2" (default) or "1.3". client_auth: "none" (default), "optional" or '
        '"required" certificates of clients, verified by client_ca; an instance is told of '
        "one by the header Client-Cert.",
        examples=[
            {
                "certificates": [
                    {
                        "chain": "/etc/fengling/tls/fullchain.pem",
                        "key": "/etc/fengling/tls/privkey.pem",
                    }
                ]
            }
        ],
    )
    proxy_protocol: list[Network] = Field(
        default=[],
        max_length=1000,
        description="Balancers that begin each connection with a PROXY header (version 1 or 2), "
        "from which the client's address is taken. From these it is required; others are not "
        "believed.",
        examples=[["10.0.0.0/8"]],
    )
    limits: ListenerLimitSettings = Field(
        default=ListenerLimitSettings(),
        description="What holds here in place of [limits]; of that: "
        f"{', '.join(ListenerLimitSettings.model_fields)}.",
        examples=[{"header_deadline": "5s", "keepalive_idle": "10m"}],
    )

    def data_plane(self) -> dict[str, Any]:
        """What of it concerns a worker's data plane."""
        values = self.limits.model_dump(exclude_unset=True)
        if self.tls is not None:
            values["tls"] = self.tls.model_dump(mode="json")
        if self.proxy_protocol:
            values["proxy_protocol"] = self.proxy_protocol
        return values

    def host_and_port(self) -> tuple[str, int]:
        return split_address(self.address)


class LimitSettings(ListenerLimitSettings):
    """What a client or an instance may take of this host, before it is refused or cut off."""

    high_water_bytes: Size = Field(
        default=64 * 1024,
        ge=4096,
        description="Buffered towards a peer before the other is paused.",
    )
    low_water_bytes: Size = Field(
        default=32 * 1024, ge=0, description="Left of that when reading goes on."
    )
    upstream_max_connections: int = Field(
        default=256, ge=1, description="Open to one instance, in each worker."
    )
    upstream_idle_timeout: Seconds = Field(
        default=8.0,
        description="How long one is kept unused; below what instances themselves keep.",
    )
    upstream_max_idle: int = Field(default=64, ge=0, description="Kept unused to one instance.")
    upstream_queue: int = Field(
        default=1024,
        ge=0,
        description="Requests that wait for a connection to one instance; more: 503.",
    )
    upstream_queue_timeout: Seconds = Field(
        default=3.0, description="How long they wait; then 503."
    )
    max_connections: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="From clients, in each worker; at most, and if unset, what the descriptor "
        "limit allows.",
        examples=[10000],
    )
    max_memory: Annotated[Size, Field(ge=32 << 20)] | None = Field(
        default=None,
        description="Of each worker's process. From 85 % of it on new requests are answered 503 "
        "and idle connections closed; from 95 % on no connection is accepted. Unset: what the "
        "control group or the machine has, but 512MiB (at most a quarter) for the supervisor, "
        "divided by the workers; 128MiB at least.",
        examples=["2GiB"],
    )
    max_limit_keys: int = Field(
        default=100_000,
        ge=1000,
        le=10_000_000,
        description="Clients (or whatever else is the key of a rate limit) that are known at a "
        "time, in each worker: some 200 bytes each. More: who came longest ago begins anew.",
    )
    max_metric_pairs: int = Field(
        default=2000,
        ge=0,
        le=20_000,
        description="Pairs of a route and a service with series of their own in /metrics: the first "
        "that are asked for. All others are the route `other`. A gateway has at most ten times as "
        "many series in all.",
    )


class DnsSettings(Section):
    """How names of instances are resolved, beside /etc/hosts and /etc/resolv.conf."""

    servers: list[NameServer] = Field(
        default=[],
        max_length=3,
        description="Whom to ask in place of the nameservers in resolv.conf.",
        examples=[["10.0.0.53", "10.0.1.53:5353"]],
    )
    timeout: Seconds = Field(
        default=2.0,
        description="For looking a name up. Then its last good addresses are used, or the "
        "attempt fails.",
    )
    min_ttl: Seconds = Field(
        default=1.0, description="How long addresses are kept at least, whatever the answer says."
    )
    max_ttl: Seconds = Field(default=300.0, description="How long they are kept at most.")
    max_stale: Grace = Field(
        default=86400.0,
        description="For how long beyond that they are used while the name can't be resolved.",
    )

    @model_validator(mode="after")
    def _has_room(self) -> DnsSettings:
        if self.min_ttl > self.max_ttl:
            raise refuse("out_of_range", "must have a min_ttl that is at most its max_ttl")
        return self


class UpstreamSettings(Section):
    """Where this host connects to for instances."""

    allow: list[Network] = Field(
        default=[],
        max_length=1000,
        description="Networks that instances may be in although they are refused by default: "
        "loopback, link-local, multicast, 0.0.0.0, reserved ones. Whoever writes the "
        "configuration would else reach what is there for this host alone. Where clouds keep a "
        "machine's credentials (169.254.169.254 and others), only an entry that is the very "
        "address counts. Nothing allows this gateway's own listeners.",
        examples=[["127.0.0.0/8", "::1"]],
    )


class ManagementSettings(Section):
    """The management API, /metrics, /livez and /readyz."""

    enabled: bool = Field(default=True, description="Whether there is one.")
    address: Address = Field(default="127.0.0.1:8001", description="host:port of its own listener.")
    token_keys: Keys = Field(
        default=[],
        repr=False,
        description="The keys that its tokens are signed with: as [sync] keys, but others. "
        "`fenglingctl token create` makes tokens from them. There is no default.",
        examples=[["2026-11:<openssl rand -hex 32>"]],
    )
    issuers: list[Name] = Field(
        default=[],
        max_length=20,
        description="Ids of issuers in the configuration whose tokens are good here, too, by the "
        "scopes gateway:read, gateway:write and gateway:admin. None of them unless it is named "
        "here: who may write configuration must not become an admin by it.",
        examples=[["corp"]],
    )
    audience: Word = Field(
        default="fengling-management",
        repr=False,  # it may be any word, so also what somebody has put into the wrong place
        description="What their tokens must say in aud, besides what routes ask for.",
    )

    def host_and_port(self) -> tuple[str, int]:
        return split_address(self.address)


class SecretsSettings(Section):
    """What the secrets of the configuration, such as private keys, are encrypted with."""

    key_file: Path | None = Field(
        default=None,
        description='A file with the keys, one "id:key" a line with 32 random bytes (openssl rand '
        "-hex 32), the same on all hosts; relative to this one. The first key encrypts, all "
        "decrypt. Nobody else may read it. Read again at each HUP, with all files that secrets "
        "refer to.",
        examples=["/etc/fengling/secret.keys"],
    )
    _keys: tuple[str, ...] = PrivateAttr(default=())

    @property
    def keys(self) -> tuple[str, ...]:
        """What the file holds."""
        return self._keys

    def with_keys(self, key_file: Path, keys: tuple[str, ...]) -> SecretsSettings:
        """Return the same with what has been read from the file."""
        changed = self.model_copy(update={"key_file": key_file})
        changed._keys = keys
        return changed

    def keys_unlike(self, other: Section, prefix: str) -> list[str]:
        changed = super().keys_unlike(other, prefix)
        if not changed and isinstance(other, SecretsSettings) and self._keys != other._keys:
            changed.append(f"{prefix}key_file")
        return changed


class IssuersSettings(Section):
    """Where keys are fetched from that issuers of tokens publish."""

    ca_file: Path | None = Field(
        default=None,
        repr=False,  # it may be what somebody has put into the wrong place
        description="PEM: the authorities that may have issued the certificates of those servers, "
        "in place of the system's. Read at each fetch.",
        examples=["/etc/fengling/tls/issuers-ca.pem"],
    )


class DrainSettings(Section):
    """How a worker stops."""

    deadline: Grace = Field(
        default=30.0, description="For requests under way when it stops; then they are cut off."
    )


class HealthSettings(Section):
    """How long reports on instances are believed."""

    stale_after: Seconds = Field(
        default=60.0,
        description="Without a sign of a console that probes instances, for so long, those that "
        "it reported unhealthy are tried again. At least two database.poll_interval.",
    )


class SupervisionSettings(Section):
    """How the supervisor and its workers watch one another."""

    heartbeat_timeout: Silence = Field(
        default=5.0,
        description="A worker that is silent for so long is killed and replaced; at least 2s.",
    )
    orphan_grace: Grace = Field(
        default=60.0, description="How long workers serve on after their supervisor has died."
    )


class LogSettings(Section):
    """The log, on standard output."""

    level: Literal["debug", "info", "warn", "error"] = Field(
        default="info", description="The least shown."
    )
    format: Literal["text", "json"] = Field(
        default="text", description="For people, or for collectors."
    )


class MetricsSettings(Section):
    """What is counted for /metrics."""

    count_requests: bool = Field(
        default=True,
        description="By route and service: numbers, failures, times and sizes. false saves a "
        "microsecond of a request; then neither /metrics nor top nor the console know of traffic.",
    )


class TracingSettings(Section):
    """Traces of requests and of changes, sent to a collector of OpenTelemetry by OTLP/HTTP."""

    endpoint: OtlpEndpoint | None = Field(
        default=None,
        repr=False,  # some have a token in it
        description="Where spans are sent; without a path, to /v1/traces there. Unset: nothing is "
        "traced, and traceparent and tracestate pass like any other header.",
        examples=["http://127.0.0.1:4318"],
    )
    sample_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        default=0.0,
        description="Of the traces that begin here, from 0 to 1. Who sends a traceparent has "
        "decided already, if he is believed: trust.",
    )
    trust: Literal["all", "trusted_proxies", "none"] = Field(
        default="all",
        description="Whose traceparent and tracestate are believed: everybody's, those that the "
        "trusted_proxies of the configuration bring, or nobody's. Whoever is believed has what "
        "he marks as sampled recorded; the traces of others begin here.",
    )
    service_name: Word = Field(
        default="fengling-gateway",
        repr=False,
        description="What the gateway is called in traces (service.name).",
    )
    headers: OtlpHeaders = Field(
        default="",
        repr=False,
        description="Sent along, as OTEL_EXPORTER_OTLP_HEADERS has them: name=value,name=value "
        "with %2C for a comma. Better kept out of this file: headers_file, or the environment.",
        examples=["authorization=Bearer%20<token>"],
    )
    ca_file: Path | None = Field(
        default=None,
        repr=False,  # it may be what somebody has put into the wrong place
        description="PEM: the authorities that may have issued the certificate of an https "
        "endpoint, in place of the system's. Read at each connection.",
        examples=["/etc/fengling/tls/otel-ca.pem"],
    )
    redact_query: list[Word] = Field(
        default=list(SECRET_PARAMETERS),
        repr=False,
        max_length=100,
        description="Parameters of queries, in any case, whose values are REDACTED in spans.",
    )
    timeout: Seconds = Field(
        default=10.0, description="For one try to send a batch, and for the last ones at a stop."
    )
    batch_spans: int = Field(default=512, ge=1, le=10_000, description="Sent at once, at most.")
    batch_interval: Seconds = Field(
        default=2.0, le=60.0, description="How long spans wait for others to be sent with."
    )
    queue_spans: int = Field(
        default=20_000,
        ge=100,
        le=1_000_000,
        description="That wait to be sent, also while the collector is away; what comes on top "
        "is dropped, and counted.",
    )
    queue_bytes: Size = Field(
        default=32 << 20, ge=1 << 20, description="The same in bytes, of some 500 a span."
    )

    def header_pairs(self) -> list[tuple[str, str]]:
        return parse_headers(self.headers)


class FailureSettings(Section):
    """Requests that failed or were slow, kept for a while: fenglingctl errors, fenglingctl why."""

    kept: int = Field(
        default=10_000,
        ge=100,
        le=1_000_000,
        description="The newest so many, in memory; they survive a restart of workers.",
    )
    kept_bytes: Size = Field(
        default=16 << 20, ge=1 << 20, description="The same in bytes, of some 1.5 KiB a request."
    )
    per_second: Annotated[float, Field(ge=0.1, le=10_000, allow_inf_nan=False)] = Field(
        default=15.0,
        description="Of one error, so many a second are kept, after ten times as many at once, "
        "which all workers share; of all errors together four times as many. Others are counted.",
    )
    slower_than: Grace = Field(
        default=10.0,
        description="Requests whose answer's first byte takes so long are slow: they are kept, "
        "and logged (request.slow). Tunnels and streams are not for being long. 0s: none are.",
    )


class DebugSettings(Section):
    """For looking closely."""

    worker_header: bool = Field(
        default=False,
        description="Whether answers name the worker and the revision it serves "
        "(the headers X-Gateway-Worker and X-Gateway-Revision).",
    )
    core_dumps: bool = Field(
        default=False,
        description="Whether a process that crashes may leave a core. It holds all that was in "
        "memory: keys, passwords, tokens.",
    )


class TransportSettings(Section):
    """The fast ways of reading and writing, and the stock ones to fall back to."""

    fast: bool = Field(default=True, description="Send at once and buffer the rest only.")
    tls: Literal["fast", "stock"] = Field(
        default="fast", description="TLS by the standard library, or Twisted's."
    )
    reactor: Literal["lean", "stock"] = Field(
        default="lean",
        description="The event loop of workers. Without epoll it is the stock one anyway.",
    )


class ProgramSettings(Section):
    """All settings of a program."""

    _secret_files: tuple[Path, ...] = PrivateAttr(default=())

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """The files that these settings' passwords and keys were read from."""
        return self._secret_files

    def with_secret_files(self, files: tuple[Path, ...]) -> Self:
        """Return the same, which knows where its secrets are from."""
        changed = self.model_copy()
        changed._secret_files = files
        return changed

    def changed_keys(self, other: Self) -> list[str]:
        """Name the keys, like ``limits.max_headers``, in which two settings differ."""
        changed = []
        for name in type(self).model_fields:
            mine, others = getattr(self, name), getattr(other, name)
            if isinstance(mine, Section):
                changed += mine.keys_unlike(others, f"{name}.")
            elif mine != others:
                changed += self.keys_within(name, mine, others)
        return changed

    def keys_within(self, name: str, mine: Any, others: Any) -> list[str]:
        """Name what differs of something that is no section."""
        return [name]


class GatewaySettings(ProgramSettings):
    """All settings of a gateway."""

    cluster: Name = Field(
        default="default", description="The hosts of one cluster share a database, Redis and keys."
    )
    node: Name = Field(
        default_factory=socket.gethostname,
        validate_default=True,
        description="This gateway's name in the cluster. Unset: the host's name. Two gateways on "
        "one machine need two.",
        examples=["gateway-1"],
    )
    workers: Literal["auto"] | int = Field(
        default="auto",
        description="Worker processes. auto: one for each CPU that may be used. 1: no processes, "
        "everything in one.",
    )
    source: Literal["database", "file"] = Field(
        default="database", description="Where the configuration comes from."
    )
    runtime_dir: Directory = Field(
        default=Path("/run/fengling"), description="For sockets and locks."
    )
    state_dir: Directory = Field(
        default=Path("/var/lib/fengling"),
        description="For the last-known-good file, from which a host starts when all else is down.",
    )
    database: DatabaseSettings = DatabaseSettings()
    file: FileSettings = FileSettings()
    redis: RedisSettings = RedisSettings()
    sync: SyncSettings = SyncSettings()
    listeners: list[ListenerSettings] = Field(
        default=[ListenerSettings(name="http", address="0.0.0.0:8000")], min_length=1, max_length=50
    )
    limits: LimitSettings = LimitSettings()
    dns: DnsSettings = DnsSettings()
    issuers: IssuersSettings = IssuersSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    management: ManagementSettings = ManagementSettings()
    secrets: SecretsSettings = SecretsSettings()
    drain: DrainSettings = DrainSettings()
    health: HealthSettings = HealthSettings()
    supervision: SupervisionSettings = SupervisionSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    metrics: MetricsSettings = MetricsSettings()
    access_log: AccessLogSettings = AccessLogSettings()
    failures: FailureSettings = FailureSettings()
    debug: DebugSettings = DebugSettings()
    transport: TransportSettings = TransportSettings()

    @field_validator("workers", mode="before")
    @classmethod
    def _workers(cls, value: Any) -> Any:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
            value = int(value)
        if value == "auto" or (type(value) is int and 1 <= value <= MAX_WORKERS):
            return value
        raise refuse("out_of_range", f'must be "auto" or a number from 1 to {MAX_WORKERS}')

    def worker_count(self) -> int:
        """How many workers to run, at least 1."""
        return available_cpus() if self.workers == "auto" else int(self.workers)

    def node_runtime_dir(self) -> Path:
        """The runtime directory of this node: two on one machine don't share it."""
        return self.runtime_dir / self.node

    def node_state_dir(self) -> Path:
        """The state directory of this node."""
        return self.state_dir / self.node

    def data_plane(self) -> DataPlaneSettings:
        """What of it concerns a worker's data plane."""
        from fengling_gateway.dataplane.settings import DataPlaneSettings

        return DataPlaneSettings(
            **self.limits.model_dump(),
            workers=self.worker_count(),
            dns_servers=tuple(name_server(one) for one in self.dns.servers),
            dns_timeout=self.dns.timeout,
            dns_min_ttl=self.dns.min_ttl,
            dns_max_ttl=self.dns.max_ttl,
            dns_max_stale=self.dns.max_stale,
            upstream_allow=tuple(self.upstream.allow),
            upstream_own=self._own_addresses(),
            count_requests=self.metrics.count_requests,
            access_log=self.access_log.data_plane(),
            worker_header=self.debug.worker_header,
            via=f"fengling-{self.cluster}",
            transports="fast" if self.transport.fast else "stock",
            tls_transport=self.transport.tls,
            listeners={one.name: values for one in self.listeners if (values := one.data_plane())},
        )

    def _own_addresses(self) -> tuple[tuple[str, int], ...]:
        """Where connections would come back to this gateway."""
        own = [one.host_and_port() for one in self.listeners]
        if self.management.enabled:
            own.append(self.management.host_and_port())
        return tuple(own)

    def keys_within(self, name: str, mine: Any, others: Any) -> list[str]:
        if name != "listeners" or _where(mine) != _where(others):
            return [name]
        pairs = zip(mine, others, strict=True)
        return list(dict.fromkeys(key for pair in pairs for key in _of_listener(*pair)))


def _where(listeners: list[ListenerSettings]) -> list[tuple[str, str]]:
    return [(one.name, one.address) for one in listeners]


def _of_listener(one: ListenerSettings, other: ListenerSettings) -> list[str]:
    """Name the keys in which two listeners differ; those within its TLS, if both have one."""
    keys = one.keys_unlike(other, "listeners.")
    if one.tls is not None and other.tls is not None and "listeners.tls" in keys:
        keys.remove("listeners.tls")
        keys += one.tls.keys_unlike(other.tls, "listeners.tls.")
    return keys
