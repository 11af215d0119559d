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


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
def test_compiled_modules_pass_the_same_tests(tmp_path: Path) -> None:
    """A copy of the project, compiled in place, passes the data plane's tests."""
    for name in ("fengling_gateway", "tests", "docs", "twisted"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.so"))
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "FENGLING_EXTENSIONS": "1"}
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    built = subprocess.run(
        build, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert list(tmp_path.glob("fengling_gateway/dataplane/exchange.*.so")), built.stderr
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:]
