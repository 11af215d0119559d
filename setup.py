"""The part of packaging that has to be computed: which modules are compiled.

Everything declarative is in setup.cfg. The modules named here run as plain
Python too; compiled with Cython they only run faster, so a machine without a
compiler installs all the same. ``FENGLING_NO_EXTENSIONS=1`` skips them.

An editable install has none unless ``FENGLING_EXTENSIONS=1`` asks for them: a
compiled module beside its source would go on running after the source is edited.
"""

from __future__ import annotations

import os
import sys

from setuptools import Extension, setup

COMPILED_MODULES: tuple[str, ...] = (
    "fengling_gateway.http.head",
    "fengling_gateway.http.response_head",
    "fengling_gateway.http.headers",
    "fengling_gateway.http.forwarded",
    "fengling_gateway.http.framing",
    "fengling_gateway.dataplane.listener",
    "fengling_gateway.auth.requirement",
    "fengling_gateway.auth.token_cache",
    "fengling_gateway.limiting.generations",
    "fengling_gateway.limiting.keys",
    "fengling_gateway.limiting.limit",
    "fengling_gateway.limiting.shared",
    "fengling_gateway.limiting.sliding_window",
    "fengling_gateway.limiting.table",
    "fengling_gateway.limiting.token_bucket",
    "fengling_gateway.routing.guards",
    "fengling_gateway.records.fields",
    "fengling_gateway.records.filters",
    "fengling_gateway.records.known_lines",
    "fengling_gateway.records.redaction",
    "fengling_gateway.tracing.sampling",
    "fengling_gateway.dataplane.admission",
    "fengling_gateway.dataplane.credentials",
    "fengling_gateway.dataplane.identities",
    "fengling_gateway.dataplane.answer_side",
    "fengling_gateway.dataplane.debugged_exchange",
    "fengling_gateway.dataplane.exchange",
    "fengling_gateway.dataplane.exchange_base",
    "fengling_gateway.dataplane.request_side",
    "fengling_gateway.dataplane.http1_answer_writer",
    "fengling_gateway.dataplane.http1_request_reader",
    "fengling_gateway.dataplane.http1_downstream",
    "fengling_gateway.dataplane.http1_request_writer",
    "fengling_gateway.dataplane.http1_answer_reader",
    "fengling_gateway.dataplane.http1_upstream",
    "fengling_gateway.dataplane.pool",
    "fengling_gateway.dataplane.recipients",
    "fengling_gateway.dataplane.record_keeping",
    "fengling_gateway.dataplane.counters",
    "fengling_gateway.dataplane.state",
    "fengling_gateway.dataplane.sweeper",
    "fengling_gateway.dataplane.transports",
    "fengling_gateway.dataplane.tls_transport",
    "fengling_gateway.dataplane.lean_epoll",
)
"""
Dotted names of hot modules, each a plain .py file that Cython compiles unchanged.

The .pxd files beside some of them declare types, which plain Python does not see.
"""


_COMPILING: frozenset[str] = frozenset({"bdist_wheel", "build", "build_ext", "install"})
"""
Commands that want the modules.

``egg_info``, with which pip asks what a build needs, does not: translating them
takes it half a minute, before an editable install too.
"""


def wanted() -> bool:
    """Whether to compile in this build."""
    if _is_set("FENGLING_NO_EXTENSIONS"):
        return False
    return _is_set("FENGLING_EXTENSIONS") or not _COMPILING.isdisjoint(sys.argv)


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "0") not in ("", "0")


def extensions() -> list[Extension]:
    """Return the extensions to build: none where Cython is missing or not wanted."""
    if not COMPILED_MODULES or not wanted():
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    sources = [
        Extension(name, [name.replace(".", "/") + ".py"], optional=True)
        for name in COMPILED_MODULES
    ]
    return cythonize(
        sources,
        build_dir="build/cython",
        compiler_directives={"language_level": "3", "binding": True, "annotation_typing": False},
    )


setup(ext_modules=extensions())
