"""Makes what sends traces from a gateway's settings."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from fengling_gateway.dataplane.dns_lookups import Lookups
from fengling_gateway.settings import GatewaySettings
from fengling_gateway.settings.model import TracingSettings
from fengling_gateway.supervisor.otlp import Otlp, resource_of
from fengling_gateway.supervisor.span_export import ExportSettings, SpanExport


def worker_tracing_values(tracing: TracingSettings) -> dict[str, Any] | None:
    """Return what workers have to know; None: nothing is traced."""
    if tracing.endpoint is None:
        return None
    return {
        "sample_ratio": tracing.sample_ratio,
        "redact_query": tracing.redact_query,
        "trust": tracing.trust,
    }


def make_otlp(reactor: Any, settings: GatewaySettings, lookups: Lookups) -> Otlp | None:
    """Return what sends batches where the settings say; None where they don't."""
    tracing = settings.tracing
    if tracing.endpoint is None:
        return None

    def make_web() -> Any:
        return import_module("fengling_gateway.supervisor.web").Web(
            reactor=reactor,
            lookups=lookups,
            refusal=_anywhere,
            ca_file=tracing.ca_file,
            ca_setting="tracing.ca_file",
        )

    return Otlp(
        url=tracing.endpoint,
        headers=tracing.header_pairs(),
        resource=resource_of(
            service_name=tracing.service_name, cluster=settings.cluster, node=settings.node
        ),
        node=settings.node,
        make_web=make_web,
        in_thread=_own_thread(reactor),
        wall=time.time,
    )


def _anywhere(host: str, port: int) -> None:
    """Where spans go is the operator's choice, and not that of who writes configuration."""


def _own_thread(reactor: Any) -> Callable[..., Deferred[Any]]:
    """Return what runs functions in a thread, which begins with the first of them."""
    threads = ThreadPool(0, 1, name="spans")

    def in_thread(function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        if not threads.started:
            threads.start()
            reactor.addSystemEventTrigger("during", "shutdown", threads.stop)
        return deferToThreadPool(reactor, threads, function, *args)

    return in_thread


def span_export(
    reactor: Any, tracing: TracingSettings, otlp: Otlp, rng: random.Random
) -> SpanExport:
    """Return the queue before it."""
    return SpanExport(
        clock=reactor,
        settings=ExportSettings(
            timeout=tracing.timeout,
            batch_spans=tracing.batch_spans,
            batch_interval=tracing.batch_interval,
            queue_spans=tracing.queue_spans,
            queue_bytes=tracing.queue_bytes,
        ),
        send=otlp.send,
        rng=rng,
    )
