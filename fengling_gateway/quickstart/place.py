"""The directory of a running quickstart: what is in it, and who may read it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

_OURS: Final = frozenset(
    (
        *("control", "demo.sql", "env", "gateway.toml", "console.toml", "lock", "logs"),
        *("secrets", "state.json"),
    )
)
_MARK: Final = "made by the quickstart of Fengling Gateway, which deletes what it put here\n"
"""What is in the file ``lock`` of a directory that is ours."""


class PlaceTakenError(Exception):
    """Another quickstart, or somebody else, uses the directory."""


class Place:
    """
    ``.quickstart/``: settings, secrets, logs and what others need to take part.

    Only its owner may look into it. It is gone again after a clean end. What a
    killed one left is known by the mark in its ``lock``: names like ours do not
    make a directory ours.

    Raises:
        PlaceTakenError: no directory is named.
    """

    def __init__(self, directory: Path) -> None:
        if not directory.name:  # as of "" and ".", which are where we stand, or of "/"
            raise PlaceTakenError(f"{directory} is no directory of the quickstart's own")
        self.directory = directory.absolute()
        self.logs = self.directory / "logs"
        self.secrets = self.directory / "secrets"
        self.state_file = self.directory / "state.json"
        self.env_file = self.directory / "env"
        self.settings_file = self.directory / "gateway.toml"
        self.console_settings_file = self.directory / "console.toml"
        self.demo_file = self.directory / "demo.sql"
        self.control = self.directory / "control"
        self._lock: IO[str] | None = None
        self._removable = False

    def __repr__(self) -> str:
        return f"<Place {self.directory}>"

    @property
    def shown(self) -> str:
        """The directory as somebody would type it who stands where we were called."""
        relative = os.path.relpath(self.directory, os.environ.get("FENGLING_CALLED_FROM", "."))
        return min(relative, str(self.directory), key=len)

    def take(self) -> None:
        """
        Make the directory ours, and empty.

        Raises:
            PlaceTakenError: somebody else holds it, or keeps other things there.
        """
        self._removable = self._make_or_recognize()
        lock = (self.directory / "lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise PlaceTakenError(f"a quickstart is running in {self.shown} already") from None
        lock.truncate(0)
        lock.write(_MARK)
        lock.flush()
        self._lock = lock
        self._empty()
        self.directory.chmod(0o700)
        self.logs.mkdir()
        os.mkfifo(self.control, mode=0o600)

    def _make_or_recognize(self) -> bool:
        """Make the directory, or see that it is ours or empty; whether it is ours to remove."""
        try:
            self.directory.mkdir(mode=0o700, parents=True)
            return True
        except FileExistsError:
            if not self.directory.is_dir():
                raise PlaceTakenError(f"{self.shown} is not a directory") from None
        found = {path.name for path in self.directory.iterdir()}
        lock = self.directory / "lock"
        mark = lock.read_text(errors="replace") if lock.is_file() else ""
        allowed = _OURS if mark == _MARK else {"lock"} if not mark else set()
        if others := {name for name in found if name.removesuffix(".new") not in allowed}:
            raise PlaceTakenError(f"{self.shown} holds other things: {', '.join(sorted(others))}")
        return mark == _MARK

    def leave(self, *, keep_logs: bool = False) -> None:
        """Remove what we put there; with `keep_logs` what explains a failure stays, and our mark."""
        self._empty(keep={"logs", "gateway.toml", "console.toml"} if keep_logs else set())
        if not keep_logs:
            (self.directory / "lock").unlink(missing_ok=True)
            if self._removable and not any(self.directory.iterdir()):
                self.directory.rmdir()
        if self._lock is not None:
            self._lock.close()

    def new_secret(self, name: str, text: str | None = None) -> str:
        """Write a secret, a random one unless given, to a file in `secrets`, and return it."""
        secret = secrets.token_urlsafe(32) if text is None else text
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        write_private(self.secrets / name, secret + "\n")
        return secret

    def write_state(self, state: Mapping[str, Any]) -> None:
        write_private(self.state_file, json.dumps(state, indent=2) + "\n")

    def write_env(self, variables: Mapping[str, str], programs: list[Path]) -> None:
        """Write what ``. .quickstart/env`` sets."""
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        path = ":".join(shlex.quote(str(directory)) for directory in programs)
        lines.append(f'export PATH={path}:"$PATH"')
        write_private(self.env_file, "\n".join(lines) + "\n")

    def _empty(self, keep: set[str] | frozenset[str] = frozenset()) -> None:
        for path in self.directory.iterdir():
            name = path.name.removesuffix(".new")
            if name == "lock" or name not in _OURS or name in keep:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; readers see the old text or the new one."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
