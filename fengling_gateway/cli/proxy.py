"""``fenglingctl proxy``: a gateway in one line, without database and Redis."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
import yaml

from fengling_gateway.cli.errors import CommandError, note
from fengling_gateway.cli.files import read_files
from fengling_gateway.cli.validation import judge, report

SERVICE: Final = "upstream"


@click.command("proxy", short_help="Run a gateway in one line, without database.")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT")
@click.option("--to", "targets", multiple=True, metavar="URL", help="An instance; may be repeated.")
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A configuration file instead; what changes in it is served at once.",
)
@click.option("--workers", type=click.IntRange(1, 1024), default=1, show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warn", "error"]), default="warn")
def proxy_command(
    listen: str, targets: tuple[str, ...], file: Path | None, workers: int, log_level: str
) -> None:
    """
    Forward what comes in at --listen to one or more instances, until Ctrl-C.

    It is a whole gateway on a configuration file: same workers, same rules.
    """
    if bool(targets) == (file is not None):
        raise click.UsageError("name either --to URL or --file PATH")
    directory = Path(tempfile.mkdtemp(prefix="fengling-proxy-"))
    try:
        path = _write_configuration(directory, targets) if file is None else file.resolve()
        _check(path)
        settings = _settings(directory, path, listen=listen, workers=workers, log_level=log_level)
        to = ", ".join(targets) or str(file)
        note(f"http://{listen} → {to} (Ctrl-C stops it)")
        _run(settings)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _run(settings: Any) -> None:
    from fengling_gateway.tap.foreground import run

    run(settings)


def _write_configuration(directory: Path, targets: Iterable[str]) -> Path:
    document = {
        "services": [
            {"id": SERVICE, "instances": [{"address": _address(target)} for target in targets]}
        ],
        "routes": [{"id": "all", "service_id": SERVICE}],
    }
    path = directory / "routes.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _address(target: str) -> str:
    parts = urlsplit(target if "://" in target else f"http://{target}")
    if parts.path not in {"", "/"} or parts.query:
        raise CommandError(f"--to {target}: only scheme, host and port; a path needs --file")
    return f"{parts.scheme}://{parts.netloc}"


def _check(path: Path) -> None:
    rows, places = read_files([str(path)])
    judged = judge(rows)
    if judged.rejected:
        report(judged, [], places, "table")
        raise CommandError("this can't be served (see above)")


def _settings(directory: Path, path: Path, *, listen: str, workers: int, log_level: str) -> Any:
    from fengling_gateway.settings import SettingsError, load_settings

    environment = {
        "FENGLING_SOURCE": "file",
        "FENGLING_FILE__PATH": str(path),
        "FENGLING_NODE": "proxy",
        "FENGLING_WORKERS": str(workers),
        "FENGLING_RUNTIME_DIR": str(directory / "run"),
        "FENGLING_STATE_DIR": str(directory / "state"),
        "FENGLING_MANAGEMENT__ENABLED": "false",
        "FENGLING_LOG__LEVEL": log_level,
    }
    settings_file = directory / "gateway.toml"
    quoted = listen.replace("\\", "").replace('"', "")
    settings_file.write_text(f'[[listeners]]\nname = "http"\naddress = "{quoted}"\n')
    try:
        # Not our own environment: it may hold the settings of another gateway.
        return load_settings(settings_file, environment)
    except SettingsError as error:
        problems = "; ".join(map(str, error.problems))
        raise CommandError(f"--listen {listen}: {problems}") from error
