"""Requests as lines of a terminal: aligned, and as long as it is wide."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from fengling_gateway.observability.plain import plain

_STYLES: Final = {"2": "green", "3": "cyan", "4": "yellow", "5": "bold red"}
_GAP: Final = "  "
_NOTHING: Final = "–"

_WIDEST: Final = {"method": 7, "target": 60, "where": 40}
"""Columns grow with what is in them, up to this; what is wider stands out."""

_NARROWEST_TARGET: Final = 20
_TIME: Final = 12
_STATUS: Final = 3
_DURATION: Final = 8
_ERROR: Final = 20
"""Cells that are left for it on a terminal; most are shorter."""


class TapLines:
    """
    Prints requests.

    Columns are as wide as the widest so far, so that lines don't wait for others.
    """

    def __init__(self, out: Console) -> None:
        self._out = out
        self._widths = {"method": 4, "target": _NARROWEST_TARGET, "where": 10}

    def print(self, request: Mapping[str, Any]) -> None:
        """Print one, as of `fengling_gateway.records.plain`."""
        line = self.line(request)
        if self._out.is_terminal:
            self._out.print(line, soft_wrap=True)
        else:
            click.echo(line.plain)

    def line(self, one: Mapping[str, Any]) -> Text:
        status = str(one["status"]) if one["status"] else _NOTHING
        where = self._cell("where", _where(one))
        parts = [
            Text(_time(one["at"]), style="dim"),
            Text(status.rjust(_STATUS), style=_STYLES.get(status[0], "red")),
            Text(self._cell("method", one["method"] or _NOTHING)),
            Text(self._target(plain(one["target"] or _NOTHING), cell_len(where))),
            Text(where),
            Text(_duration(one["duration_ms"]).rjust(_DURATION)),
            Text(one["error"] or "", style="red"),
        ]
        line = Text(_GAP).join(parts)
        line.rstrip()
        return line

    def _target(self, target: str, where: int) -> str:
        """Return what there is room for; where it is no terminal, that is all."""
        if not self._out.is_terminal:
            return self._cell("target", target)
        method = self._widths["method"]
        others = _TIME + _STATUS + method + where + _DURATION + _ERROR + 6 * len(_GAP)
        room = max(_NARROWEST_TARGET, self._out.width - others)
        if cell_len(target) > room:
            target = set_cell_size(target, room - 1) + "…"
        return self._cell("target", target, room)

    def _cell(self, name: str, value: str, most: int | None = None) -> str:
        text = plain(value)
        widest = _WIDEST[name] if most is None else most
        width = min(widest, max(self._widths[name], cell_len(text)))
        self._widths[name] = width
        return text if cell_len(text) >= width else set_cell_size(text, width)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]


def _where(one: Mapping[str, Any]) -> str:
    """Return the route, and the instance that was asked last, if one was."""
    route, attempts = one["route"] or _NOTHING, one["attempts"]
    if not attempts:
        return str(route)
    asked = one["asked"]
    more = f" ×{asked}" if asked > 1 else ""
    return f"{route} → {attempts[-1]['instance'] or _NOTHING}{more}"


def _duration(milliseconds: float) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:.1f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:,.0f} s"
