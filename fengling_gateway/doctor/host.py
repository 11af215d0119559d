"""This host: what a gateway with these settings has here."""

from __future__ import annotations

import os
import re
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fengling_gateway.doctor.finding import Finding, note, ok, wrong
from fengling_gateway.tap.advice import is_open, on_the_network

if TYPE_CHECKING:
    from fengling_gateway.settings import GatewaySettings

FEW_DESCRIPTORS: Final = 4096
"""Each connection takes one, and that to an instance another."""

LITTLE_ROOM_BYTES: Final = 64 * 1024 * 1024
"""Three generations of 10,000 routes."""

_GONE_WITH_POWER: Final = ("tmpfs", "ramfs")
_OVER_A_NETWORK: Final = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p")
_OF_A_CONTAINER: Final = ("overlay", "aufs")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def host(settings: GatewaySettings | None) -> Iterator[Finding]:
    """
    Yield what there is to say of this host.

    Args:
        settings: of the gateway here; None where they are not known.
    """
    yield descriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if settings is None:
        return
    yield from state_dir(settings.node_state_dir(), Path("/proc/self/mountinfo"))
    yield _cores(settings)
    yield _secret_files(settings)
    for line in on_the_network(settings):
        said, _, cure = line.partition("; ")
        yield note("host.network", said, cure)


def descriptors(limit: int) -> Finding:
    if 0 <= limit < FEW_DESCRIPTORS:
        return note(
            "host.descriptors",
            f"a process started here may open {limit} files and connections",
            "LimitNOFILE=1048576 in the unit, or ulimit -n; a service manager may have its own",
        )
    return ok("host.descriptors", "a process started here may open many connections")


def state_dir(directory: Path, mounts: Path) -> Iterator[Finding]:
    """
    Yield what there is to say of a node's state directory.

    Args:
        mounts: ``mountinfo`` of proc(5).
    """
    about = "host.state_dir"
    place = next(one for one in (directory, *directory.absolute().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        yield wrong(
            about,
            f"{place} can't be written to: {error.strerror}",
            f"have it belong to who runs the gateway: chown -R … {place}",
        )
        return
    if free < LITTLE_ROOM_BYTES:
        yield wrong(
            about, f"{place} has {free >> 20} MiB left", "make room there, or set state_dir"
        )
        return
    yield _file_system(about, directory, file_system(place, mounts))
    owner = place.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        yield note(
            "host.owner",
            f"{place} belongs to user {owner}; whether that one can write is not known to root",
            "run doctor as the user that runs the gateway",
        )


def _file_system(about: str, directory: Path, kind: str) -> Finding:
    if kind in _GONE_WITH_POWER:
        return wrong(
            about,
            f"{directory} is on {kind}: after a reboot there is nothing to start from",
            "set state_dir to a directory on a disk",
        )
    if kind in _OVER_A_NETWORK:
        return note(
            about,
            f"{directory} is on {kind}: a start without that server has nothing to start from",
            "set state_dir to a directory on a disk of this host",
        )
    if kind in _OF_A_CONTAINER:
        return note(
            about,
            f"{directory} is on {kind}: it goes with its container",
            "mount a volume there",
        )
    return ok(about, f"{directory} can be written to ({kind})")


def file_system(place: Path, mounts: Path) -> str:
    """Return the kind of file system that a place is on, by ``mountinfo``; ``unknown`` without it."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return "unknown"
    found, longest = "unknown", -1
    resolved = place.resolve()
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5:
            continue
        point = Path(_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[4]))
        # (Of several on one point the last one covers the others.)
        if resolved.is_relative_to(point) and len(point.parts) >= longest:
            found, longest = after.partition(" ")[0], len(point.parts)
    return found


def _cores(settings: GatewaySettings) -> Finding:
    if settings.debug.core_dumps:
        return note(
            "host.cores",
            "debug.core_dumps is on: what crashes leaves keys, passwords and tokens in a file",
            "switch it off when you have what you were after",
        )
    return ok("host.cores", "what crashes leaves no core")


def _secret_files(settings: GatewaySettings) -> Finding:
    """Say whether others may read what holds keys or passwords, wherever they can come to it."""
    about = "host.secrets"
    open_to_others = [path for path in settings.secret_files if is_open(path)]
    if not open_to_others:
        return ok(about, "nobody else may read the files with keys and passwords")
    named = " ".join(map(str, open_to_others))
    return wrong(
        about,
        f"others may read or change what holds keys or passwords: {named}",
        f"chmod 600 {named}",
    )
