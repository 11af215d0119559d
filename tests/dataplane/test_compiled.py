"""The hot modules, compiled, do what they do as plain Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("Cython")

ROOT = Path(__file__).parents[2]
TESTS = [
    "tests/http",
    "tests/limiting",
    "tests/auth",
    "tests/tracing",
    "tests/dataplane/test_forwarding.py",
    "tests/dataplane/test_guards.py",
    "tests/dataplane/test_guard_attacks.py",
    "tests/dataplane/test_failures.py",
    "tests/dataplane/test_connections.py",
    "tests/dataplane/test_connection_counts.py",
    "tests/dataplane/test_counters.py",
    "tests/dataplane/test_debug.py",
    "tests/dataplane/test_ejection.py",
    "tests/dataplane/test_overrides.py",
    "tests/dataplane/test_tracing.py",
    "tests/dataplane/test_trace_context.py",
    "tests/dataplane/test_tunnels.py",
    "tests/dataplane/test_transports.py",
    "tests/dataplane/test_lean_epoll.py",
    "tests/dataplane/test_sockets.py",
    "tests/dataplane/test_sweeper.py",
    "tests/dataplane/test_proxy_headers.py",
    "tests/dataplane/test_tls_instances.py",
    "tests/dataplane/test_tls_listeners.py",
    "tests/dataplane/test_names.py",
    "tests/dataplane/test_slow_bodies.py",
    "tests/conformance",
]


FIRST = ["tests/dataplane/test_tls_listeners.py", "tests/dataplane/test_forwarding.py"]
"""What says soonest that a declaration for the compiler is not so: run with each change."""

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project, compiled in place."""
    copy = tmp_path_factory.mktemp("compiled")
    for name in ("fengling_gateway", "tests", "docs", "twisted"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so"))
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    built = run(copy, "setup.py", "-q", "build_ext", "--inplace")
    assert built.returncode == 0, built.stderr
    assert list(copy.glob("fengling_gateway/dataplane/exchange.*.so")), built.stderr
    return copy


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "FENGLING_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(600)
def test_compiled_modules_serve_requests(compiled: Path) -> None:
    """In the clear and over TLS."""
    ran = run(compiled, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FIRST)
    assert ran.returncode == 0, ran.stdout[-4000:]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_compiled_modules_pass_the_same_tests(compiled: Path) -> None:
    """All of the data plane's, in two processes."""
    spread = ("-n", "2", "--dist", "loadfile")
    ran = run(compiled, "-m", "pytest", "-q", "-p", "no:cacheprovider", *spread, *TESTS)
    assert ran.returncode == 0, ran.stdout[-4000:]
