"""A process that checks health as a console does: python -m tests.health.prober_process DSN NAME."""

from __future__ import annotations

import random
import sys

from twisted.logger import globalLogBeginner, textFileLogObserver

from fengling_gateway.balancing.upstream_networks import LOOPBACK, UpstreamNetworks
from fengling_gateway.configsource.postgres import PostgresSource
from fengling_gateway.configsource.reload import ReloadSettings
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.dataplane.counters import Counters
from fengling_gateway.dataplane.dns_files import NameFiles
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.dataplane.resolver import Resolver, ResolverLimits
from fengling_gateway.health.live import KeyedConfiguration
from fengling_gateway.health.probing import Probing
from fengling_gateway.health.service import HealthService, HealthSettings
from tests.health.builders import no_certificate


class Database:
    """Settings of a source."""

    listen_url = None
    listen = True
    connect_timeout = 3.0
    statement_timeout = 10.0

    def __init__(self, url: str) -> None:
        self.url: str | None = url


def main(dsn: str, name: str) -> None:
    from twisted.internet import reactor  # noqa: TID251 - a process of its own

    rng = random.Random()
    networks = UpstreamNetworks(LOOPBACK)
    mirror = Mirror(
        clock=reactor,  # type: ignore[arg-type]
        make_source=lambda hint: PostgresSource(
            reactor=reactor, settings=Database(dsn), on_hint=hint, rng=rng
        ),
        settings=ReloadSettings(poll_interval=2.0, compare_interval=60.0),
        rng=rng,
        networks=networks,
    )
    live = KeyedConfiguration(lambda: mirror.config.bodies)
    mirror.on_change(lambda applied: live.changed([change.key for change in applied.changes]))
    files = NameFiles(resolv_conf="/etc/resolv.conf", hosts="/etc/hosts", servers=())
    names = Resolver(
        clock=reactor,  # type: ignore[arg-type]
        lookups=Lookups(reactor=reactor, files=files),
        limits=ResolverLimits(timeout=2.0, min_ttl=1.0, max_ttl=300.0, max_stale=3600.0),
        counters=Counters(),
    )
    health = HealthService(
        reactor=reactor,
        rng=rng,
        settings=HealthSettings(dsn=dsn, session_dsn=dsn, name=name, connect_timeout=3.0),
        configuration=live,
        prober=Probing(
            reactor=reactor, networks=networks, names=names, certificates=no_certificate
        ),
        on_heartbeat=lambda term, holder: print("beat", term, holder, flush=True),
    )
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)])
    mirror.start()
    health.start()
    reactor.addSystemEventTrigger("before", "shutdown", mirror.stop)  # type: ignore[attr-defined]
    reactor.addSystemEventTrigger("before", "shutdown", health.stop)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
