"""Things to paste into another terminal, each with what to look for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paste:
    """A command and what it shows."""

    title: str
    command: str


def pastes(place: str, script: str) -> list[Paste]:
    """
    Return the tour.

    Args:
        place: the quickstart's directory as one types it.
        script: how the quickstart is called.
    """
    return [
        Paste("take part: psql, fenglingctl, $GATEWAY", f". {place}/env"),
        Paste("ask the gateway", "for i in 1 2 3 4 5 6; do curl -s $GATEWAY/hello; done"),
        Paste(
            "split the traffic of a route",
            'psql -c "UPDATE fengling.route SET split = '
            '\'{\\"hello-v1\\": 50, \\"hello-v2\\": 50}\' WHERE id = \'hello\'"',
        ),
        Paste(
            "break a route: it is rejected and named, its last good version serves on",
            "psql -c \"UPDATE fengling.route SET path = '~^/api/orders/([0-9]+' WHERE id = 'orders'\"",
        ),
        Paste("see what is served, and what is wrong", "fenglingctl status"),
        Paste(
            "kill a worker: its sibling takes its connections, a new one starts",
            f"kill -9 $({script} pid worker)",
        ),
        Paste("stop PostgreSQL: everything serves on", f"{script} stop postgres"),
        Paste("… and start it again", f"{script} start postgres"),
        Paste(
            "remove every route: held, so that nobody notices",
            'psql -c "DELETE FROM fengling.route"',
        ),
        Paste("undo all of it", f"psql -qf {place}/demo.sql"),
    ]
