"""
Rows of spans as the body of an export by OTLP/HTTP, and what is answered to one.

For a thread: importing what this needs takes a moment, and so does encoding. Nothing
else imports it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from fengling_gateway import __version__
from fengling_gateway.tracing.spans import CLIENT, Span, Value

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.43.0"
"""Of the semantic conventions that names of attributes are from."""

_IS_SAMPLED: Final = 0x001
_KNOWS_REMOTE: Final = 0x100
_IS_REMOTE: Final = 0x200

_COMPRESSION: Final = 1
"""The fastest; spans repeat themselves so much that more brings little."""


class PartialSuccess(NamedTuple):
    """What a collector has not taken of what it has taken, and why."""

    rejected: int
    message: str


def encode_spans(
    rows: Iterable[tuple[str, Sequence[Any]]], resource: Mapping[str, Value], node: str
) -> bytes:
    """
    Return a compressed export request.

    Args:
        rows: each with the name of the worker that it is from; "" where it is the
            supervisor's own.
        resource: what is known of the gateway as a whole.
        node: of which workers are parts.
    """
    by_worker: dict[str, list[WireSpan]] = {}
    for worker, row in rows:
        by_worker.setdefault(worker, []).append(_span(Span(*row)))
    request = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=_attributes({**resource, **_instance(node, worker)})),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(name="fengling_gateway", version=__version__),
                        spans=spans,
                        schema_url=SCHEMA_URL,
                    )
                ],
                schema_url=SCHEMA_URL,
            )
            for worker, spans in by_worker.items()
        ]
    )
    return gzip.compress(request.SerializeToString(), _COMPRESSION, mtime=0)


def partial_success(content: bytes) -> PartialSuccess:
    """Return what an answer says; one that can't be read says that all is well."""
    try:
        said = ExportTraceServiceResponse.FromString(content).partial_success
    except DecodeError:
        return PartialSuccess(0, "")
    return PartialSuccess(max(0, said.rejected_spans), said.error_message)


def _instance(node: str, worker: str) -> dict[str, Value]:
    return {"service.instance.id": f"{node}/{worker}" if worker else node}


def _span(span: Span) -> WireSpan:
    flags = _IS_SAMPLED | _KNOWS_REMOTE
    if span.parent_id and span.kind != CLIENT:  # a client's parent is the gateway's own span
        flags |= _IS_REMOTE
    return WireSpan(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id),
        trace_state=span.state,
        flags=flags,
        kind=span.kind,  # type: ignore[arg-type]  # the same numbers
        name=span.name,
        start_time_unix_nano=_nanoseconds(span.start),
        end_time_unix_nano=_nanoseconds(max(span.start, span.end)),
        attributes=_attributes(span.attributes),
        status=None
        if span.error is None
        else Status(code=Status.STATUS_CODE_ERROR, message=_said(span.error)),
    )


def _said(error: str) -> str:
    """Say why, unless it is a status, which is said elsewhere."""
    return "" if error.isdigit() else error


def _nanoseconds(seconds: float) -> int:
    return max(0, int(seconds * 1_000_000_000))


def _attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    return [KeyValue(key=name, value=_any(value)) for name, value in values.items()]


def _any(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=value)
