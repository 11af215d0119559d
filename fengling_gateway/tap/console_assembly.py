"""Makes the parts of a console from its settings and joins them: once, here."""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from fengling_gateway.access.audit import AuditTrail
from fengling_gateway.access.gate import Gate
from fengling_gateway.access.kept_tokens import kept_token
from fengling_gateway.access.port import bind
from fengling_gateway.access.verifiers import Kept, LocalTokens
from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.balancing.upstream_networks import UpstreamNetworks
from fengling_gateway.configsource.postgres import PostgresSource
from fengling_gateway.configsource.reload import ReloadSettings
from fengling_gateway.console.api import ConsoleApi, Endpoint
from fengling_gateway.console.committing import Committing
from fengling_gateway.console.console import Console, Parts
from fengling_gateway.console.edits import Editor
from fengling_gateway.console.endpoints import Operations, endpoints
from fengling_gateway.console.entity_api import EntityApi
from fengling_gateway.console.events import Events
from fengling_gateway.console.fleet import FleetWatch
from fengling_gateway.console.fleet_api import FleetApi
from fengling_gateway.console.health_api import HealthApi
from fengling_gateway.console.history_api import HistoryApi
from fengling_gateway.console.kubernetes_api import KubernetesApi
from fengling_gateway.console.metrics import render
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.console.pages import FILES, Pages
from fengling_gateway.console.rollback_api import RollbackApi
from fengling_gateway.console.store import Store
from fengling_gateway.console.summary import Summary
from fengling_gateway.console.trying import Trying
from fengling_gateway.dataplane.dns_files import NameFiles
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.health.service import HealthService
from fengling_gateway.model.management_tokens import READ
from fengling_gateway.settings import ConsoleSettings
from fengling_gateway.settings.values import name_server
from fengling_gateway.signin.desk import Surroundings
from fengling_gateway.signin.service import OPEN_PATHS as SIGNIN_PATHS
from fengling_gateway.signin.service import Operation, SignIn
from fengling_gateway.supervisor.names import Refusal
from fengling_gateway.supervisor.web import Web
from fengling_gateway.syncbus.debug import debug_value
from fengling_gateway.syncbus.signing import Keyring
from fengling_gateway.tap.console_health import client_certificates, make_health, resolver
from fengling_gateway.tap.console_trust import TrustedIssuers
from fengling_gateway.tap.programs import StartError

OPEN_PATHS: Final = frozenset((b"/livez", b"/readyz", b"/metrics"))
"""For probes and scrapers; they tell numbers, and nothing of the configuration."""


def assemble(reactor: Any, settings: ConsoleSettings) -> Console:
    """Make a console, not yet started."""
    rng = random.Random()
    refusals: Counter[str] = Counter()
    dsn = settings.database.url
    assert dsn is not None, "checked with the settings"
    store = Store(
        reactor=reactor,
        dsn=dsn,
        connections=settings.database.connections,
        application=f"fengling-console {settings.name}",
    )
    mirror = Mirror(
        clock=reactor,
        make_source=lambda hint: PostgresSource(
            reactor=reactor, settings=settings.database, on_hint=hint, rng=rng
        ),
        settings=ReloadSettings(
            poll_interval=settings.database.poll_interval,
            compare_interval=settings.database.compare_interval,
        ),
        rng=rng,
        networks=UpstreamNetworks(settings.upstream.allow),
    )
    keyring = Keyring(settings.sync.keys, cluster=settings.cluster) if settings.sync.keys else None
    heard: list[HealthService] = []  # who hears evidence is made of what the bus is made before

    def evidence_received(node: str, instances: dict[str, dict[str, Any]]) -> None:
        for one in heard:
            one.evidence_received(node, instances)

    bus = _bus(reactor, settings, keyring, evidence_received)
    fleet = FleetWatch(clock=reactor, nodes=bus)
    events = Events(clock=reactor, wall=time.time)
    lookups = _lookups(reactor, settings)
    certificates = client_certificates(settings, mirror)
    health = None
    if settings.probes.enabled:
        health = make_health(
            reactor=reactor,
            settings=settings,
            mirror=mirror,
            lookups=lookups,
            certificates=certificates,
            rng=rng,
            tell=lambda beat: None if bus is None else bus.publish_prober(beat.term, beat.holder),
        )
        heard.append(health)
    summary = Summary(mirror=mirror, fleet=fleet, health=health, wall=time.time)
    editor = Editor(store=store, mirror=mirror)
    committing = Committing(mirror=mirror, fleet=fleet)
    tokens = LocalTokens(TokenRing(settings.management.token_keys), _kept(mirror))
    trusted = None
    if settings.management.issuers:
        # Whoever writes the configuration chooses whom this asks, but not any host.
        asker = _web(reactor, settings, lookups, mirror.networks.refusal)
        trusted = TrustedIssuers(reactor=reactor, mirror=mirror, get=asker.get)
    trail = AuditTrail(clock=reactor.seconds, wall_clock=time.time, api="console")
    signin = SignIn(
        settings=settings.signin,
        oidc=settings.oidc,
        ring=tokens.ring,
        around=Surroundings(
            run=store.run,
            kept=_kept(mirror),
            web=_web(reactor, settings, lookups, _nobody_refuses),
            clock=reactor,
            wall_clock=time.time,
            trail=trail,
            refusals=refusals,
        ),
    )
    events.holds = lambda operator: signin.sessions.is_good(operator, now=time.time())
    operations = Operations(
        entities=EntityApi(store=store, mirror=mirror, editor=editor, committing=committing),
        history=HistoryApi(store=store, mirror=mirror),
        rollback=RollbackApi(store=store, committing=committing),
        fleet=FleetApi(store=store, mirror=mirror, fleet=fleet, bus=bus),
        health=HealthApi(store=store, mirror=mirror, probing=health),
        kubernetes=KubernetesApi(store=store, clock=reactor, discovery=None),
        trying=Trying(
            reactor=reactor,
            mirror=mirror,
            fleet=fleet,
            gateway_url=settings.http.gateway_url,
            own_host=lambda: None if bus is None else bus.local_host,
            sign=_signer(keyring),
            wall=time.time,
        ),
        summary=summary,
        events=events,
        is_ready=lambda: _ready(mirror, signin),
        metrics=lambda: render(mirror, store, fleet, events, refusals),
    )
    api = ConsoleApi(
        [*endpoints(operations), *map(_endpoint, signin.operations()), *Pages().endpoints()],
        refusals=refusals,
    )
    gate = Gate(
        inside=api.app.resource(),
        verifiers=(
            tokens,
            *([] if trusted is None else [trusted.verifier(settings, _kept(mirror))]),
        ),
        trail=trail,
        open_paths=OPEN_PATHS | SIGNIN_PATHS,
        clock=reactor,
        wall_clock=time.time,
        refusals=refusals,
        browsers=signin.browsers((f"{FILES}/".encode(),)),
    )

    def replace_keys(changed: ConsoleSettings) -> None:
        tokens.ring = TokenRing(changed.management.token_keys)
        signin.replace_ring(tokens.ring)
        if bus is not None and changed.sync.keys:
            bus.replace_keys(changed.sync.keys)
        certificates.renew(resolver(changed))

    return Console(
        reactor=reactor,
        parts=Parts(
            store,
            mirror,
            fleet,
            bus,
            events,
            summary,
            others=tuple(one for one in (signin, trusted, health) if one is not None),
        ),
        bind=lambda: _bind(settings),
        resource=gate,
        refusals=refusals,
        replace_keys=replace_keys,
        url=_url(settings),
    )


def _nobody_refuses(_host: str, _port: int) -> None:
    """Stand for what the host's own settings name."""


def _endpoint(operation: Operation) -> Endpoint:
    """Return an operation of signing in, which has no path below that of the API, as one of ours."""
    return Endpoint(
        operation.method, f"/{operation.path}", lambda call: operation.handle(call.request)
    )


def _lookups(reactor: Any, settings: ConsoleSettings) -> Lookups:
    servers = tuple(name_server(one) for one in settings.dns.servers)
    files = NameFiles(resolv_conf="/etc/resolv.conf", hosts="/etc/hosts", servers=servers)
    return Lookups(reactor=reactor, files=files)


def _web(reactor: Any, settings: ConsoleSettings, lookups: Lookups, refusal: Refusal) -> Web:
    """Return who asks other hosts, unless that is refused."""
    return Web(reactor=reactor, lookups=lookups, refusal=refusal, ca_file=settings.issuers.ca_file)


def _bind(settings: ConsoleSettings) -> socket.socket:
    try:
        return bind(settings.host_and_port(), "http.address")
    except OSError as error:
        raise StartError(str(error)) from error


def _url(settings: ConsoleSettings) -> str:
    named = settings.signin.external_urls
    return named[0] if named else f"http://{settings.http.address}"


def _signer(keyring: Keyring | None) -> Callable[[bytes], str] | None:
    if keyring is None:
        return None
    return lambda random_id: debug_value(keyring, random_id, now=time.time())


def _bus(
    reactor: Any,
    settings: ConsoleSettings,
    keyring: Keyring | None,
    evidence_received: Callable[[str, dict[str, dict[str, Any]]], None],
) -> Any:
    if settings.redis.url is None or keyring is None:
        return None
    from fengling_gateway.syncbus.redis import SyncBus

    return SyncBus(
        reactor=reactor,
        url=settings.redis.url,
        cluster=settings.cluster,
        node=f"console/{settings.name}",
        keyring=keyring,
        rng=random.Random(),
        on_evidence=evidence_received if settings.probes.enabled else None,
    )


def _kept(mirror: Mirror) -> Kept:
    """Say what is kept of a token, by its id."""

    def kept(token_id: str) -> Mapping[str, Any] | None:
        config = None if mirror.position is None else mirror.config
        return kept_token(config, token_id, unread=(READ,))

    return kept


def _ready(mirror: Mirror, signin: SignIn) -> tuple[bool, dict[str, Any]]:
    if mirror.is_judged and not signin.is_ready:
        return False, {"reason": "which sessions have ended has not been read yet"}
    if mirror.is_judged:
        return True, {}
    return False, {"reason": mirror.problem or "the configuration has not been read yet"}
