"""Makes a console's health checker of its settings."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

from fengling_gateway.auth.sealing import parse_sealing_keys
from fengling_gateway.auth.secrets import SecretResolver
from fengling_gateway.console.mirror import Applied, Mirror
from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.dataplane.resolver import Resolver, ResolverLimits
from fengling_gateway.health.client_certificates import ClientCertificates
from fengling_gateway.health.live import KeyedConfiguration
from fengling_gateway.health.probing import Probing
from fengling_gateway.health.service import HealthService, HealthSettings
from fengling_gateway.settings import ConsoleSettings
from fengling_gateway.syncbus.messages import ProberBeat
from fengling_gateway.worker.secret_file import read_secret_file


def make_health(
    *,
    reactor: Any,
    settings: ConsoleSettings,
    mirror: Mirror,
    lookups: Lookups,
    certificates: ClientCertificates,
    rng: random.Random,
    tell: Callable[[ProberBeat], None],
) -> HealthService:
    """
    Return the health checker, not yet started.

    Args:
        tell: is told each second in which this console probes.
    """
    database = settings.database
    dsn = database.url
    assert dsn is not None, "checked with the settings"
    configuration = KeyedConfiguration(lambda: mirror.config.bodies)

    def changed(applied: Applied) -> None:
        keys = None if applied.is_first else [change.key for change in applied.changes]
        configuration.changed(keys)

    mirror.on_change(changed)
    return HealthService(
        reactor=reactor,
        rng=rng,
        settings=HealthSettings(
            dsn=dsn,
            session_dsn=database.listen_url or dsn,
            name=settings.name,
            connect_timeout=database.connect_timeout,
            concurrency=settings.probes.concurrency,
            shutdown=settings.probes.shutdown,
        ),
        configuration=configuration,
        prober=Probing(
            reactor=reactor,
            networks=mirror.networks,
            names=_names(reactor, settings, lookups),
            certificates=certificates.find,
        ),
        on_heartbeat=lambda term, holder: tell(ProberBeat(term, holder)),
    )


def client_certificates(settings: ConsoleSettings, mirror: Mirror) -> ClientCertificates:
    """Return what finds the certificates that probes show."""
    return ClientCertificates(bodies=lambda: mirror.config.bodies, resolver=resolver(settings))


def resolver(settings: ConsoleSettings) -> SecretResolver:
    """Return what makes bytes of secrets; as in workers."""
    keys = settings.secrets.keys
    return SecretResolver(
        parse_sealing_keys(keys) if keys else (),
        read_file=read_secret_file,
        environment=os.environ,
    )


def _names(reactor: Any, settings: ConsoleSettings, lookups: Lookups) -> Resolver:
    dns = settings.dns
    limits = ResolverLimits(dns.timeout, dns.min_ttl, dns.max_ttl, dns.max_stale)
    return Resolver(clock=reactor, lookups=lookups, limits=limits, counters=Counters())
