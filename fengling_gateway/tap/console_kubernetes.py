"""Makes what follows a Kubernetes cluster, of a console's settings."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from fengling_gateway.console.mirror import Applied, Mirror
from fengling_gateway.console.store import RefusedError as StoreRefusedError
from fengling_gateway.console.store import Store
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.kubernetes import table, writing
from fengling_gateway.kubernetes.api import ApiServer
from fengling_gateway.kubernetes.backends import Backends
from fengling_gateway.kubernetes.credentials import Credentials
from fengling_gateway.kubernetes.discovery import Discovery, DiscoverySettings
from fengling_gateway.kubernetes.following import Rules
from fengling_gateway.kubernetes.gateway_api.world import Settings
from fengling_gateway.kubernetes.gateway_side import GatewaySide
from fengling_gateway.kubernetes.limits import Limits
from fengling_gateway.kubernetes.reflector import Reflector
from fengling_gateway.kubernetes.reporting import Report
from fengling_gateway.kubernetes.selection import parse_selector
from fengling_gateway.kubernetes.statuses import Statuses
from fengling_gateway.kubernetes.wants import Row, Want, Wants
from fengling_gateway.kubernetes.watching import Reflecting, Watched
from fengling_gateway.kubernetes.withheld import Going
from fengling_gateway.model.entity import Key
from fengling_gateway.settings import ConsoleSettings
from fengling_gateway.settings.kubernetes import KubernetesSettings
from fengling_gateway.tap.programs import StartError


def make_discovery(
    *,
    reactor: Any,
    settings: ConsoleSettings,
    store: Store,
    mirror: Mirror,
    lookups: Lookups,
    rng: random.Random,
    changed: Callable[[], None],
) -> Discovery:
    """
    Return what follows the cluster, not yet started.

    Raises:
        StartError: where the API server is is not known.
    """
    database, said = settings.database, settings.kubernetes
    dsn = database.listen_url or database.url
    assert dsn is not None, "checked with the settings"
    discovery = Discovery(
        reactor=reactor,
        rng=rng,
        settings=DiscoverySettings(
            session_dsn=dsn,
            name=settings.name,
            rules=Rules(
                namespaces=tuple(said.namespaces),
                selector=parse_selector(said.selector),
                approve=tuple(said.approve),
                limits=limits_of(said),
            ),
            gateway_api=said.gateway_api,
            connect_timeout=database.connect_timeout,
        ),
        cluster=ClusterOfSettings(reactor=reactor, settings=said, lookups=lookups, rng=rng),
        database=StoreOfTerms(store),
        judge=lambda rows: _judged(mirror, rows),
        changed=changed,
    )
    mirror.on_change(lambda applied: _applied(discovery, applied))
    return discovery


class ClusterOfSettings:
    """A `kubernetes.discovery.Cluster`."""

    def __init__(
        self, *, reactor: Any, settings: KubernetesSettings, lookups: Lookups, rng: random.Random
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._rng = rng
        self._server = ApiServer(
            reactor=reactor,
            base_url=settings.api_url or _url_in_pod(os.environ),
            credentials=Credentials(token_file=settings.token_file, ca_file=settings.ca_file),
            lookups=lookups,
        )

    def reflect(self, watched: Watched, namespace: str | None, user: Any) -> Reflecting:
        return Reflector(
            clock=self._reactor,
            server=self._server,
            resource=watched.resource,
            namespace=namespace,
            selector=watched.selector,
            convert=watched.convert,
            user=user,
            rng=self._rng,
            wall=time.time,
        )

    def gateway_side(self, wants: Wants, backends: Backends) -> GatewaySide:
        settings = self._settings
        return GatewaySide(
            clock=self._reactor,
            settings=Settings(
                settings.controller,
                settings.listener_names(),
                tuple(settings.addresses),
                limits=limits_of(settings),
                priority=settings.gateway_api_priority,
            ),
            wants=wants,
            backends=backends,
            statuses=Statuses(
                clock=self._reactor,
                objects=self._server,
                rng=self._rng,
                controller=settings.controller,
                wall=time.time,
            ),
            beside=lambda work: deferToThreadPool(
                self._reactor, self._reactor.getThreadPool(), work
            ),
        )

    def stop(self) -> Deferred[None]:
        return self._server.stop()

    @property
    def url(self) -> str:
        return self._server.base_url


def limits_of(settings: KubernetesSettings) -> Limits:
    return Limits(
        hosts=settings.hosts_by_namespace(),
        tenants=settings.tenants_by_namespace(),
        gateway_namespaces=tuple(settings.gateway_namespaces),
        max_priority=settings.max_priority,
    )


class StoreOfTerms:
    """A `kubernetes.discovery.Database`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(
        self, term: int, batch: Mapping[Key, Want], going: Going
    ) -> Deferred[writing.Written]:
        return self._store.run(writing.write, term, batch, going).addErrback(_refused)

    def tell(self, term: int, report: Report) -> Deferred[None]:
        return self._store.run(table.tell, term, report.seen, report.gone, report.results)

    def news(self, after: int) -> Deferred[table.News]:
        return self._store.run(table.read_news, after)


def _refused(failure: Failure) -> Failure:
    """Name what the database refuses in words of who writes."""
    error = failure.value
    if isinstance(error, StoreRefusedError):
        raise writing.RefusedError(f"{error}: {error.hint}" if error.hint else str(error))
    return failure


def _judged(mirror: Mirror, rows: Mapping[Key, Row]) -> Deferred[Mapping[Key, str]]:
    """Say what the configuration would refuse, and why."""
    if not rows:
        return succeed({})

    async def judge() -> Mapping[Key, str]:
        trial = await mirror.try_out({key: {**row, "id": key.id} for key, row in rows.items()})
        return {
            key: "; ".join(map(str, rejection.problems))
            for key, rejection in trial.rejected.items()
        }

    return Deferred.fromCoroutine(judge())


def _applied(discovery: Discovery, applied: Applied) -> None:
    discovery.served(applied.position.revision)
    if any(one.application != writing.APPLICATION for one in applied.revisions):
        discovery.others_changed(change.key for change in applied.changes)


def _url_in_pod(environ: Mapping[str, str]) -> str:
    host, port = (
        environ.get("KUBERNETES_SERVICE_HOST"),
        environ.get("KUBERNETES_SERVICE_PORT", "443"),
    )
    if not host:
        raise StartError(
            "kubernetes.api_url is required outside of a cluster (KUBERNETES_SERVICE_HOST is not "
            "set); set it or FENGLING_KUBERNETES__API_URL"
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
