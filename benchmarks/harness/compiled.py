"""The gateway as a wheel installs it: with its hot modules compiled, where a compiler is."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).parents[2]
_BUILD: Final = _PROJECT / "build" / "compiled"
_BUILD_SECONDS: Final = 600


@cache
def as_installed() -> Mapping[str, str]:
    """Return the environment in which the gateway runs as a wheel would install it."""
    build = compiled_gateway()
    return {} if build is None else {"PYTHONPATH": str(build)}


def compiled_gateway() -> Path | None:
    """
    Build what an installation from a wheel would run, and return where it is.

    It lies apart from the sources, so that nobody else runs it unawares. None,
    with a line that says why, where it can't be built; then the plain sources
    are measured.
    """
    print("compiling the hot modules (a minute, the first time)", file=sys.stderr)
    command = [sys.executable, "setup.py", "-q", "build", f"--build-lib={_BUILD}"]
    built = subprocess.run(
        [*command, f"--parallel={os.cpu_count() or 1}"],
        cwd=_PROJECT,
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if built.returncode == 0 and any(_BUILD.rglob("*.so")):
        compileall.compile_dir(_BUILD, quiet=2)  # as pip does
        return _BUILD
    reason = (built.stderr.strip().splitlines() or ["no Cython or no C compiler"])[-1]
    print(f"measuring plain Python: {reason}", file=sys.stderr)
    return None
