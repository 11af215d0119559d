"""Makes the parts of a gateway from its settings and joins them: once, here."""

from __future__ import annotations

import fcntl
import os
import random
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from fengling_gateway.access.port import bind
from fengling_gateway.configsource.reload import ReloadSettings
from fengling_gateway.dataplane.dns_files import NameFiles
from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.observability.log import Log
from fengling_gateway.settings import GatewaySettings
from fengling_gateway.settings.model import FailureSettings
from fengling_gateway.supervisor import failures
from fengling_gateway.supervisor.bus import Bus, NoBus
from fengling_gateway.supervisor.journal import FileJournal
from fengling_gateway.supervisor.key_fetch import KeyFetch
from fengling_gateway.supervisor.key_set_file import KeySetFile
from fengling_gateway.supervisor.launch import Launcher, LocalLauncher, ProcessLauncher
from fengling_gateway.supervisor.narration import CONFIRM
from fengling_gateway.supervisor.otlp import Otlp
from fengling_gateway.supervisor.outside import Outside
from fengling_gateway.supervisor.sockets import BindError, ListenerAddress
from fengling_gateway.supervisor.supervisor import Supervisor, SupervisorSettings
from fengling_gateway.supervisor.view import SupervisorView
from fengling_gateway.supervisor.workers import SupervisionSettings
from fengling_gateway.tap.programs import StartError
from fengling_gateway.tap.tracing import make_otlp, span_export, worker_tracing_values

_log = Logger(namespace="fengling.gateway")

NEVER_SLOW_SECONDS: Final = 1e9
"""(JSON has no infinity.)"""


class Assembly:
    """A gateway's parts, joined."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        view: SupervisorView,
        make_management: Callable[[], Any],
        management_address: tuple[str, int] | None,
        lock: RuntimeLock,
        otlp: Otlp | None = None,
    ) -> None:
        self.supervisor = supervisor
        self.view = view
        self._make_management = make_management
        self._management_address = management_address
        self._management: Any = None
        self._lock = lock
        self._otlp = otlp

    def start(self) -> None:
        """
        Start serving.

        Raises:
            StartError: an address can't be had, or another gateway runs as this node.
        """
        self._lock.acquire()
        address = self._management_address
        bound = None
        try:
            bound = None if address is None else bind(address, "management.address")
            self.supervisor.start()
        except (BindError, OSError) as error:
            if bound is not None:
                bound.close()
            raise StartError(str(error)) from error
        if bound is not None:
            # Only now: its imports take as long as those of the workers, which run meanwhile.
            self._management = self._make_management()
            self._management.start(bound)

    def stop(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.supervisor.stop()
        if self._management is not None:
            await self._management.stop()
        self._lock.release()

    def settings_changed(self, settings: GatewaySettings) -> None:
        """Workers that are started from now on take these settings; who we are stays."""
        self.supervisor.settings = with_changes(self.supervisor.settings, settings)
        if self._otlp is not None:
            self._otlp.replace_headers(settings.tracing.header_pairs())
        # (None where it is to be switched off, which takes a restart.)
        if self._management is not None and settings.management.token_keys:
            self._management.replace_token_keys(settings.management.token_keys)


def with_changes(running: SupervisorSettings, settings: GatewaySettings) -> SupervisorSettings:
    """Return what a running supervisor goes on with after its settings were read again."""
    new = supervisor_settings(settings)
    before, after = running.worker_configuration, new.worker_configuration
    # The cluster's name, how many workers share the memory, where we listen, and the Redis that
    # the supervisor itself talks to stay until a restart; not so the keys that sign what goes over
    # it, and how workers count limits together.
    stays = {key: before["data_plane"][key] for key in ("via", "workers", "upstream_own")}
    data_plane = {**after["data_plane"], **stays}
    redis = before["redis"]
    if redis is not None and after["redis"] is not None:
        redis = {**after["redis"], "url": redis["url"]}
    # Nobody would send what workers record, or they would record what is sent no more.
    same_tracing = (before.get("tracing") is None) == (after["tracing"] is None)
    tracing = after["tracing"] if same_tracing else before.get("tracing")
    changed = {"data_plane": data_plane, "redis": redis, "tracing": tracing}
    return replace(
        running,
        drain_deadline=new.drain_deadline,
        worker_configuration={**after, **changed},
    )


class RuntimeLock:
    """One supervisor per node: a lock on a file in the runtime directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None

    def acquire(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._directory / "supervisor.lock"
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(
                f"runtime_dir {self._directory}: {error.strerror}; create it or name another one"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StartError(
                f"a gateway already runs with runtime_dir {self._directory}; "
                "two gateways on one machine need different names (node)"
            ) from None

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def supervisor_settings(settings: GatewaySettings) -> SupervisorSettings:
    """Translate the operator's settings into the supervisor's."""
    redis = settings.redis.url
    return SupervisorSettings(
        cluster=settings.cluster,
        node=settings.node,
        workers=settings.worker_count(),
        source=settings.source,
        listeners=tuple(
            ListenerAddress(one.name, *one.host_and_port()) for one in settings.listeners
        ),
        runtime_dir=settings.node_runtime_dir(),
        push=settings.sync.push,
        # Without Redis the prober's row is all there is to tell, and is read at each poll.
        health_stale_after=max(settings.health.stale_after, 2 * settings.database.poll_interval),
        drain_deadline=settings.drain.deadline,
        max_metric_pairs=settings.limits.max_metric_pairs,
        release_held=_release_held(settings),
        reload=ReloadSettings(
            poll_interval=settings.database.poll_interval,
            compare_interval=settings.database.compare_interval,
        ),
        supervision=SupervisionSettings(
            heartbeat_timeout=settings.supervision.heartbeat_timeout,
            drain_deadline=settings.drain.deadline,
        ),
        failures=failures.FailureSettings(
            kept=settings.failures.kept, kept_bytes=settings.failures.kept_bytes
        ),
        worker_configuration={
            "data_plane": settings.data_plane().to_json(),
            "redis": None if redis is None else _worker_redis(redis, settings),
            "secrets": {"keys": list(settings.secrets.keys)},
            "tracing": worker_tracing_values(settings.tracing),
            "failures": worker_failure_values(settings.failures),
            "orphan_grace": settings.supervision.orphan_grace,
            "drain_deadline": settings.drain.deadline,
        },
    )


def _worker_redis(url: str, settings: GatewaySettings) -> dict[str, Any]:
    redis = settings.redis
    return {
        "url": url,
        "keys": settings.sync.keys,
        "limits": {
            "interval": redis.limit_interval,
            "deadline": redis.limit_deadline,
            "batch": redis.limit_batch,
        },
    }


def worker_failure_values(chosen: FailureSettings) -> dict[str, Any]:
    """Return what workers have to know of which requests are kept."""
    return {
        "per_second": chosen.per_second,
        "slower_than": chosen.slower_than or NEVER_SLOW_SECONDS,
    }


def _release_held(settings: GatewaySettings) -> str:
    if settings.management.enabled:
        return CONFIRM
    if settings.source == "database":
        return "release it with: SELECT fengling.confirm({revision})"
    return (
        "while [management] is off, nothing can confirm it: "
        "put the file right, or take out fewer routes at a time"
    )


def assemble(reactor: Any, settings: GatewaySettings, log: Log) -> Assembly:
    """Make a gateway, not yet started."""
    rng = random.Random()
    threads = ThreadPool(0, 1, name="files")  # one call of the journal's at a time
    view: SupervisorView

    def command_received(command: Any) -> None:
        view.command_received(command)

    def in_thread(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if not threads.started:
            threads.start()
        return deferToThreadPool(reactor, threads, function, *args)

    def refusal(host: str, port: int) -> str | None:
        return view.networks().refusal(host, port)

    def outside(supervisor: Supervisor) -> Outside:
        from fengling_gateway.configsource.pin_file import PinFile

        source = _source(reactor, settings, supervisor.hint, rng)
        return Outside(
            source=source,
            read_prober=source.prober if settings.source == "database" else None,
            bus=_bus(reactor, settings, supervisor, command_received),
            journal=_journal(reactor, settings, in_thread, threads.stop),
            launcher=lambda sockets: _launcher(reactor, settings, log, sockets, rng),
            fetch_keys=_key_fetch(reactor, settings, in_thread, refusal).fetch,
            key_file=KeySetFile(settings.node_state_dir(), in_thread),
            spans=None if otlp is None else span_export(reactor, settings.tracing, otlp, rng),
            pins=PinFile(settings.node_state_dir()),
            in_thread=in_thread,
        )

    otlp = make_otlp(reactor, settings, _lookups(reactor, settings))
    supervisor = Supervisor(
        reactor=reactor, settings=supervisor_settings(settings), outside=outside, rng=rng
    )
    view = SupervisorView(
        supervisor=supervisor,
        clock=reactor,
        dropped_log_lines=lambda: log.writer.dropped,
        trusted=settings.management.issuers if settings.management.enabled else (),
    )
    return Assembly(
        supervisor=supervisor,
        view=view,
        make_management=lambda: _management(reactor, settings, view, supervisor),
        management_address=(
            settings.management.host_and_port() if settings.management.enabled else None
        ),
        lock=RuntimeLock(settings.node_runtime_dir()),
        otlp=otlp,
    )


def _source(
    reactor: Any, settings: GatewaySettings, hint: Callable[..., None], rng: random.Random
) -> Any:
    if settings.source == "file":
        from fengling_gateway.configsource.file import FileSource

        path = settings.file.path
        assert path is not None, "checked with the settings"
        return FileSource(
            reactor=reactor, path=path, on_hint=hint, state_dir=settings.node_state_dir()
        )
    from fengling_gateway.configsource.postgres import PostgresSource

    return PostgresSource(reactor=reactor, settings=settings.database, on_hint=hint, rng=rng)


def _bus(
    reactor: Any, settings: GatewaySettings, supervisor: Supervisor, on_command: Callable[..., None]
) -> Bus:
    if settings.redis.url is None:
        return NoBus()
    from fengling_gateway.syncbus.redis import SyncBus
    from fengling_gateway.syncbus.signing import Keyring

    return SyncBus(
        reactor=reactor,
        url=settings.redis.url,
        cluster=settings.cluster,
        node=settings.node,
        keyring=Keyring(settings.sync.keys, cluster=settings.cluster),
        on_announcement=supervisor.announced,
        on_command=on_command,
        on_prober=supervisor.prober_heard,
        on_usable=supervisor.bus_usable,
        on_subscribed=lambda: supervisor.hint("subscribed", {}),
        rng=random.Random(),
    )


def _lookups(reactor: Any, settings: GatewaySettings) -> Lookups:
    plane = settings.data_plane()
    files = NameFiles(
        resolv_conf=plane.dns_resolv_conf,
        hosts=plane.dns_hosts,
        servers=tuple((host, port) for host, port in plane.dns_servers),
    )
    return Lookups(reactor=reactor, files=files)


def _key_fetch(
    reactor: Any,
    settings: GatewaySettings,
    in_thread: Callable[..., Deferred[Any]],
    refusal: Callable[[str, int], str | None],
) -> KeyFetch:
    lookups = _lookups(reactor, settings)
    web: Any = None

    def get(url: str) -> Deferred[bytes]:
        if web is not None:
            asked: Deferred[bytes] = web.get(url)
            return asked
        # Importing it takes a tenth of a second, and with one worker requests are served
        # in this very process.
        imported = in_thread(import_module, "fengling_gateway.supervisor.web")
        return imported.addCallback(first_get, url)

    def first_get(module: Any, url: str) -> Deferred[bytes]:
        nonlocal web
        web = module.Web(
            reactor=reactor, lookups=lookups, refusal=refusal, ca_file=settings.issuers.ca_file
        )
        asked: Deferred[bytes] = web.get(url)
        return asked

    return KeyFetch(clock=reactor, get=get)


def _journal(
    reactor: Any,
    settings: GatewaySettings,
    in_thread: Callable[..., Deferred[Any]],
    stop_threads: Callable[[], None],
) -> FileJournal:
    from fengling_gateway.configsource.last_known_good import LastKnownGood

    return FileJournal(
        clock=reactor,
        file=LastKnownGood(settings.node_state_dir()),
        in_thread=in_thread,
        stop_threads=stop_threads,
    )


def _launcher(
    reactor: Any,
    settings: GatewaySettings,
    log: Log,
    sockets: Callable[[], dict[str, list[Any]]],
    rng: random.Random,
) -> Launcher:
    if settings.worker_count() > 1:
        return ProcessLauncher(
            reactor=reactor,
            sockets=sockets,
            environment=os.environ,
            arguments=(settings.transport.reactor, settings.log.format, settings.log.level),
            runtime_dir=settings.node_runtime_dir(),
            lines=log.worker_lines,
        )
    from fengling_gateway.tap.worker import Parts
    from fengling_gateway.worker.agent import WorkerAgent

    def make_agent(done: Callable[[], None]) -> WorkerAgent:
        return WorkerAgent(
            clock=reactor,
            parts=Parts(reactor=reactor, rng=rng, sockets=sockets),
            done=done,
            orphaned=lambda _: None,
        )

    return LocalLauncher(clock=reactor, make_agent=make_agent)


def _management(
    reactor: Any, settings: GatewaySettings, view: SupervisorView, supervisor: Supervisor
) -> Any:
    from fengling_gateway.management.listener import ManagementListener, Trust

    return ManagementListener(
        reactor=reactor,
        gateway=view,
        address=settings.management.host_and_port(),
        token_keys=settings.management.token_keys,
        trust=Trust(
            names=tuple(settings.management.issuers),
            audience=settings.management.audience,
            issuers=supervisor.key_sets.issuers,
            want=supervisor.key_sets.wanted,
        ),
    )
