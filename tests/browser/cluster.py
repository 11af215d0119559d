"""Who watches a cluster, as far as the console's tables show it: written by SQL."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import psycopg2
from psycopg2.extras import Json

RESOURCES: Final = ("services", "endpointslices")


def resource(name: str, **more: Any) -> dict[str, Any]:
    """Return what is told of a resource that is watched."""
    now = "2026-11-22T20:00:00Z"
    well = {"namespace": None, "state": "watching", "objects": 2, "problem": None}
    return {"resource": name, **well, "synced_at": now, "heard_at": now, "refused": 0, **more}


def offer(namespace: str, name: str, **more: Any) -> dict[str, Any]:
    """Return what a service of the cluster offers, by default with a route for shop.example."""
    path = f"/{name}/{{**rest}}"
    return {
        "ports": [{"name": "http", "port": 80, "app_protocol": None}],
        "labels": {"managed-by": "fengling"},
        "annotations": {"hosts": "shop.example", "path": path},
        "service": {"name": f"{namespace}/{name}"},
        "route": {"hosts": ["shop.example"], "path": path, "service_id": f"{namespace}.{name}"},
        "problems": [],
        "instances": {"ready": 2, "drain": 0},
        **more,
    }


@dataclass
class Cluster:
    """
    Tells the tables what the console that watches would.

    Attributes:
        database: where they are.
    """

    database: str

    def watched(
        self, *resources: dict[str, Any], by: str = "c1", silent_s: float = 0, **more: Any
    ) -> None:
        """Somebody watches, and was last heard so many seconds ago; anything may be said beside it."""
        seen = resources or tuple(map(resource, RESOURCES))
        status = {"api_server": {"url": "https://10.96.0.1"}, "resources": seen, **more}
        self._run(
            "UPDATE fengling.discovery SET term = 1, holder = %s, since = now(), status = %s,"
            " heartbeat_at = clock_timestamp() - %s * interval '1 s'",
            (by, Json(status), silent_s),
        )

    def unwatched(self) -> None:
        """As where no console ever watched a cluster."""
        self._run(
            "UPDATE fengling.discovery SET term = 0, holder = NULL, since = NULL, status = NULL,"
            " heartbeat_at = NULL"
        )

    def sees(self, namespace: str, name: str, state: str = "pending", **more: Any) -> None:
        """A service asks to be served; anything of its offer may be said."""
        self._run(
            "INSERT INTO fengling.discovered_service"
            " (namespace, name, state, offer, seen_at) VALUES (%s, %s, %s, %s, now())"
            " ON CONFLICT (namespace, name) DO UPDATE SET offer = excluded.offer, gone_at = NULL",
            (namespace, name, state, Json(offer(namespace, name, **more))),
        )

    def tells(self, namespace: str, name: str, state: str = "served", **more: Any) -> None:
        """What came of the newest decision."""
        key = f"{namespace}.{name}"
        routes = [key] if state == "served" else []
        said = {"state": state, "service_id": key, "route_ids": routes, "problems": [], **more}
        self._run(
            "UPDATE fengling.discovered_service"
            " SET result = %s || jsonb_build_object('decision', decision)"
            " WHERE namespace = %s AND name = %s",
            (Json(said), namespace, name),
        )

    def confirmed(self) -> str | None:
        """Return which removal somebody has confirmed."""
        [(found,)] = self._run("SELECT confirmed FROM fengling.discovery")
        return None if found is None else str(found)

    def writes(self, comment: str) -> None:
        """Make a revision of what follows the cluster."""
        self._run(
            "SELECT fengling.describe(%s, author => 'kubernetes');"
            " UPDATE fengling.service SET labels = jsonb_build_object('seen', %s::text)",
            (comment, comment),
        )

    def goes(self, namespace: str, name: str) -> None:
        self._run(
            "UPDATE fengling.discovered_service SET gone_at = now()"
            " WHERE namespace = %s AND name = %s",
            (namespace, name),
        )

    def decided(self, namespace: str, name: str) -> dict[str, Any]:
        """Return what somebody has decided."""
        columns = ("state", "asked", "comment", "decided_by")
        [row] = self._run(
            f"SELECT {', '.join(columns)} FROM fengling.discovered_service"
            " WHERE namespace = %s AND name = %s",
            (namespace, name),
        )
        return dict(zip(columns, row, strict=True))

    def forget_all(self) -> None:
        self._run("DELETE FROM fengling.discovered_service")

    def _run(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self.database)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []
