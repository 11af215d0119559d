"""The programs that there are: what the command line and twistd have to know of each."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fengling_gateway.settings.model import ProgramSettings
    from fengling_gateway.tap.service import ProgramService


class StartError(Exception):
    """A program can't start; the message is one line for operators."""


@dataclass(frozen=True, slots=True)
class Program:
    """
    A program.

    Attributes:
        name: of its command.
        process: what its log lines call it.
        description: for ``--help``.
        load: reads its settings; raises `SettingsError`.
        problems: what else is wrong with them, a line for each.
        service: the class of its service, imported when it is asked for.
        choose_reactor: installs another than the stock one where that is wanted.
    """

    name: str
    process: str
    description: str
    load: Callable[[str | None, Mapping[str, str]], Any]
    problems: Callable[[Any], list[str]]
    service: Callable[[], type[ProgramService]]
    choose_reactor: Callable[[Any], None]


def _load_gateway(path: str | None, environ: Mapping[str, str]) -> ProgramSettings:
    from fengling_gateway.settings import load_settings

    return load_settings(path, environ)


def _load_console(path: str | None, environ: Mapping[str, str]) -> ProgramSettings:
    from fengling_gateway.settings import load_console_settings

    return load_console_settings(path, environ)


def certificate_problems(settings: Any) -> list[str]:
    """Return what is wrong with the certificates of listeners, a line for each."""
    if all(one.tls is None for one in settings.listeners):
        return []
    from fengling_gateway.dataplane.tls_contexts import TlsSettings, problems_with

    return [
        f"listeners[{index}].tls: {problem}"
        for index, one in enumerate(settings.listeners)
        if one.tls is not None
        for problem in problems_with(TlsSettings.from_json(one.tls.model_dump(mode="json")))
    ]


def access_log_problems(settings: Any) -> list[str]:
    """Return why the access log can't be written, if it can't: a line, or none."""
    path = settings.access_log.path
    if path in {"", "stdout"}:
        return []
    from fengling_gateway.observability.shared_sinks import SharedFile

    sink = SharedFile(path)
    try:
        sink.write(b"")
    except OSError as error:
        if error.errno == errno.ENXIO:  # a named pipe: who reads it may come yet
            return []
        return [f"access_log.path: {path} can't be written: {error.strerror}"]
    finally:
        sink.close()
    return []


def _gateway_problems(settings: Any) -> list[str]:
    return [*certificate_problems(settings), *access_log_problems(settings)]


def _gateway_service() -> type[ProgramService]:
    from fengling_gateway.tap.service import GatewayService

    return GatewayService


def _console_service() -> type[ProgramService]:
    from fengling_gateway.tap.console_service import ConsoleService

    return ConsoleService


def _reactor_of_workers(settings: Any) -> None:
    """The only worker, which runs in this process, gets the reactor of workers."""
    if settings.worker_count() == 1 and settings.transport.reactor == "lean":
        from fengling_gateway.dataplane import lean_epoll

        lean_epoll.install()


GATEWAY: Final = Program(
    name="fengling-gateway",
    process="gateway",
    description=(
        "An HTTP API gateway whose routes, services and instances live in PostgreSQL. "
        "Signals: TERM drains and stops; HUP reads settings and configuration again; "
        "USR1 reopens the log; USR2 replaces the workers one by one."
    ),
    load=_load_gateway,
    problems=_gateway_problems,
    service=_gateway_service,
    choose_reactor=_reactor_of_workers,
)

CONSOLE: Final = Program(
    name="fengling-console",
    process="console",
    description=(
        "Where the routes of gateways are written, the health of instances is judged and all "
        "gateways are seen: an API and a web page. Signals: TERM stops; HUP reads settings again; "
        "USR1 reopens the log."
    ),
    load=_load_console,
    problems=lambda _: [],
    service=_console_service,
    choose_reactor=lambda _: None,
)
