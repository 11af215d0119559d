"""``fenglingctl proxy``: a gateway in one line, without database and Redis."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
import yaml

from fengling_gateway.balancing.instance import split_instance_address
from fengling_gateway.balancing.upstream_networks import LOOPBACK, UpstreamNetworks, is_address
from fengling_gateway.cli.errors import CommandError, note
from fengling_gateway.cli.files import read_files
from fengling_gateway.cli.validation import report
from fengling_gateway.editing.judging import judge
from fengling_gateway.editing.refusals import find_refused, subject
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate

SERVICE: Final = "upstream"
MAX_WORKERS: Final = 512
"""That of the settings, which this command does not import for its help."""


@click.command("proxy", short_help="Run a gateway in one line, without database.")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT")
@click.option("--to", "targets", multiple=True, metavar="URL", help="An instance; may be repeated.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A configuration file instead; what changes in it is served at once.",
)
@click.option("--workers", type=click.IntRange(1, MAX_WORKERS), default=1, show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warn", "error"]), default="warn")
def proxy_command(
    listen: str, targets: tuple[str, ...], file: Path | None, workers: int, log_level: str
) -> None:
    """
    Forward what comes in at --listen to one or more instances, until Ctrl-C.

    It is a whole gateway on a configuration file: same workers, same rules.
    A change of the file that removes most of its routes is held; who means it
    starts the command again.
    """
    if bool(targets) == (file is not None):
        raise click.UsageError("name either --to URL or --file PATH")
    directory = Path(tempfile.mkdtemp(prefix="fengling-proxy-"))
    try:
        problems: list[str] = []
        addresses = _addresses(targets, problems)
        path = directory / "routes.yaml" if file is None else file.resolve()
        settings = _settings(
            directory,
            path,
            problems,
            allow=[*LOOPBACK, *_literals(addresses)],
            listen=listen,
            workers=workers,
            log_level=log_level,
        )
        networks = None if settings is None else settings.data_plane().upstream_networks()
        if networks is not None:
            problems += _refusals(addresses, networks)
        if problems:
            raise CommandError("; ".join(problems))
        if file is None:
            _write_configuration(path, addresses)
        _check(path, networks)
        to = ", ".join(targets) or str(file)
        note(f"http://{listen} → {to} (Ctrl-C stops it)")
        _run(settings)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(settings: Any) -> None:
    from fengling_gateway.tap.foreground import run

    run(settings)


def _write_configuration(path: Path, addresses: Iterable[str]) -> None:
    document = {
        "services": [{"id": SERVICE, "instances": [{"address": address} for address in addresses]}],
        "routes": [{"id": "all", "service_id": SERVICE}],
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _addresses(targets: Iterable[str], problems: list[str]) -> list[str]:
    """Return those of the instances; what is wrong with them is said of the option."""
    addresses = []
    for target in targets:
        try:
            addresses.append(_address(target))
        except ValueError as error:
            problems.append(f"--to {target}: {error}")
    return addresses


def _address(target: str) -> str:
    parts = urlsplit(target if "://" in target else f"http://{target}")
    if parts.path not in {"", "/"} or parts.query:
        raise ValueError("only scheme, host and port; a path needs --file")
    address = f"{parts.scheme}://{parts.netloc}"
    judged = validate(Key("instance", "i"), {"service_id": SERVICE, "address": address})
    if isinstance(judged, Accepted):
        canonical: str = json.loads(judged.body)["address"]
        return canonical
    raise ValueError("; ".join(problem.message for problem in judged.problems))


def _literals(addresses: Iterable[str]) -> list[str]:
    """Return the addresses that are no names: whoever named them here may connect to them anyway."""
    hosts = [split_instance_address(address)[1] for address in addresses]
    return [host for host in hosts if is_address(host)]


def _refusals(addresses: Iterable[str], networks: UpstreamNetworks) -> Iterator[str]:
    """Yield what is wrong with where addresses lead: to this proxy itself."""
    for address in addresses:
        _, host, port = split_instance_address(address)
        reason = networks.refusal(host, port)
        if reason is not None:
            yield f"--to {address}: {reason}"


def _check(path: Path, networks: UpstreamNetworks | None) -> None:
    rows, places = read_files([str(path)])
    judged = judge(rows)
    if judged.rejected:
        report(judged, [], places, "table")
        raise CommandError("this can't be served (see above)")
    for one in find_refused(judged.bodies, networks):
        note(f"{subject(one)} {one.message}")


def _settings(
    directory: Path,
    path: Path,
    problems: list[str],
    *,
    allow: list[str],
    listen: str,
    workers: int,
    log_level: str,
) -> Any:
    """Return them; None where --listen is wrong."""
    from fengling_gateway.settings import SettingsError, load_settings

    environment = {
        "FENGLING_SOURCE": "file",
        "FENGLING_FILE__PATH": str(path),
        "FENGLING_NODE": "proxy",
        "FENGLING_WORKERS": str(workers),
        "FENGLING_RUNTIME_DIR": str(directory / "run"),
        "FENGLING_STATE_DIR": str(directory / "state"),
        "FENGLING_MANAGEMENT__ENABLED": "false",
        "FENGLING_UPSTREAM__ALLOW": json.dumps(allow),
        "FENGLING_LOG__LEVEL": log_level,
    }
    settings_file = directory / "gateway.toml"
    quoted = listen.replace("\\", "").replace('"', "")
    settings_file.write_text(f'[[listeners]]\nname = "http"\naddress = "{quoted}"\n')
    try:
        # Not our own environment: it may hold the settings of another gateway.
        return load_settings(settings_file, environment)
    except SettingsError as error:
        problems += [f"--listen {listen}: {problem.message}" for problem in error.problems]
        return None
