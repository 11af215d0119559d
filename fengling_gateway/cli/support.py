"""``fenglingctl support-bundle``: what somebody needs who is to help, in one file, without secrets."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from fengling_gateway import __version__
from fengling_gateway.cli.api import PAGE, ManagementApi
from fengling_gateway.cli.doctor import Subjects, as_document, findings, subject_options
from fengling_gateway.cli.errors import CommandError, note
from fengling_gateway.doctor.redaction import (
    Redaction,
    password_of,
    secrets_of,
    shown_settings,
)

LOG_BYTES: Final = 4 * 1024 * 1024
"""Of a log, its end: some 30,000 lines."""

LOG_LINES: Final = 30_000
REVISIONS: Final = 200
_JOURNAL_SECONDS: Final = 30.0
_PARTS: Final[dict[str, tuple[str, dict[str, int]]]] = {
    "status.json": ("status", {}),
    "workers.json": ("workers", {}),
    "errors.json": ("errors", {"limit": PAGE}),
    "routes.json": ("traffic/routes", {"limit": PAGE}),
    "names.json": ("names", {}),
    "debug.json": ("debug", {}),
    "openapi.json": ("openapi.json", {}),
}
_REQUIREMENT_ENDS: Final = " <>=!~[;("


@click.command("support-bundle", short_help="Write what somebody needs who is to help into a file.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.tar.gz")
@subject_options
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The gateway's log; else the journal's of --unit, where there is one.",
)
@click.option("--unit", default="fengling-gateway", show_default=True, help="Of systemd.")
def support_bundle_command(file: Path, subjects: Subjects, log: Path | None, unit: str) -> None:
    """
    Write status, the newest failures, configuration, revisions, doctor's findings, settings,
    versions and the log's end into FILE.tar.gz, as far as they can be had. No secret is in it.

    What could not be had is named in its manifest.json, with the reason.
    """
    if file.exists():
        raise _taken(file)  # before a minute has gone by
    redaction = Redaction(_secrets(subjects))
    parts, missing = _gathered(subjects, log, unit)
    for name, why in missing.items():
        note(f"without {name}: {why}")
    manifest = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "files": sorted(parts),
        "missing": missing,
    }
    parts["manifest.json"] = _json(manifest)
    _write(file, {name: redaction(content) for name, content in parts.items()})
    click.echo(f"{file}: {len(parts)} files, {file.stat().st_size:,} bytes")


def _gathered(
    subjects: Subjects, log: Path | None, unit: str
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the content of files by name, and why others are not there."""
    parts: dict[str, bytes] = {}
    missing: dict[str, str] = {}
    for name, make in _makers(subjects, log, unit):
        try:
            parts[name] = make()
        except (CommandError, OSError, ValueError, subprocess.SubprocessError) as error:
            missing[name] = error.message if isinstance(error, CommandError) else str(error)
    return parts, missing


def _makers(
    subjects: Subjects, log: Path | None, unit: str
) -> Iterator[tuple[str, Callable[[], bytes]]]:
    yield "versions.json", lambda: _json(_versions())
    yield "doctor.json", lambda: _json(as_document(list(findings(subjects))))
    settings = subjects.settings
    if settings is not None:
        yield "settings.json", lambda: _json(shown_settings(settings))
    api = subjects.api
    if api is not None:
        yield from _of_gateway(api)
    dsn = subjects.database
    if dsn is not None:
        yield "configuration.yaml", lambda: _configuration(dsn)
        yield "revisions.json", lambda: _revisions(dsn)
    yield "gateway.log", lambda: _end_of(log) if log is not None else _journal(unit)


def _of_gateway(api: ManagementApi) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for name, (path, query) in _PARTS.items():
        yield name, partial(_told, api, path, query)
    yield "rejected.json", lambda: _json(list(api.all("rejected")))
    yield "metrics.txt", lambda: api.text("metrics").encode()
    yield "readyz.json", lambda: api.text("readyz").encode()


def _told(api: ManagementApi, path: str, query: dict[str, int]) -> bytes:
    return _json(api.get(path, **query))


def _configuration(dsn: str) -> bytes:
    """Return what `export` writes: references to secrets, and none of their values."""
    from fengling_gateway.cli import database
    from fengling_gateway.editing.documents import write_document
    from fengling_gateway.editing.planning import WRITABLE_KINDS
    from fengling_gateway.editing.rows import read_rows, snapshot

    with database.connected(dsn) as connection, snapshot(connection):
        rows = read_rows(connection, WRITABLE_KINDS)
    return write_document(rows, full=False).encode()


def _revisions(dsn: str) -> bytes:
    from fengling_gateway.cli.log import reading
    from fengling_gateway.editing.revisions import Sought

    with reading(dsn) as log:
        page = log.list_revisions(Sought(), limit=REVISIONS, before=None)
    return _json([one.document() for one in page.revisions])


def _versions() -> dict[str, Any]:
    required = importlib.metadata.requires("fengling-gateway") or ()
    names = sorted({_name_of(one) for one in required if "extra ==" not in one})
    return {
        "fengling_gateway": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "packages": {name: _version_of(name) for name in names},
    }


def _name_of(requirement: str) -> str:
    end = min((requirement.find(c) for c in _REQUIREMENT_ENDS if c in requirement), default=None)
    return requirement[:end]


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _end_of(log: Path) -> bytes:
    with log.open("rb") as file:
        begin = max(0, os.fstat(file.fileno()).st_size - LOG_BYTES)
        file.seek(begin)
        content = file.read(LOG_BYTES)
    return content.partition(b"\n")[2] if begin else content


def _journal(unit: str) -> bytes:
    """
    Raises:
        CommandError: there is no journal, or nothing of this unit in it.
    """
    program = shutil.which("journalctl")
    if program is None:
        raise CommandError("this host has no journal; name a file with --log")
    ran = subprocess.run(
        [program, "--no-pager", "-q", "-o", "short-iso-precise", "-n", str(LOG_LINES), "-u", unit],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_JOURNAL_SECONDS,
        check=False,
    )
    if ran.returncode or not ran.stdout.strip():
        raise CommandError(f"the journal has nothing of {unit}; name another with --unit, or --log")
    return ran.stdout[-LOG_BYTES:]


def _secrets(subjects: Subjects) -> Iterator[str]:
    """Yield all secrets that this command knows."""
    if subjects.settings is not None:
        yield from secrets_of(subjects.settings)
    elif subjects.redis is not None:
        from fengling_gateway.syncbus.url import parse_redis_url

        try:
            yield parse_redis_url(subjects.redis).password or ""
        except ValueError:
            pass  # doctor says so
    if subjects.database is not None:
        yield password_of(subjects.database)
    for api in (subjects.api, subjects.console):
        try:
            yield "" if api is None else api.token()
        except CommandError:
            pass  # it is needed for each question of them, and said to be missing there


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str).encode()


def _write(file: Path, parts: dict[str, bytes]) -> None:
    """
    Write the bundle, which nobody else may read.

    Raises:
        CommandError: there is something of that name, or no room.
    """
    folder = file.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz")
    now = time.time()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with (
            open(descriptor, "wb") as out,
            tarfile.open(fileobj=out, mode="w:gz") as bundle,
        ):
            for name, content in sorted(parts.items()):
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.size, member.mode, member.mtime = len(content), 0o600, int(now)
                bundle.addfile(member, io.BytesIO(content))
    except FileExistsError as error:
        raise _taken(file) from error
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error


def _taken(file: Path) -> CommandError:
    return CommandError(f"{file} is there already; name another file")
