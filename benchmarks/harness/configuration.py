"""Configuration in PostgreSQL for benchmarks: many routes, and changes to them.

The filler routes belong to many services and hosts. Load goes to the route
``load``. The route ``probe`` forwards to the service ``alpha`` or ``beta``;
an answer's ``X-Instance`` tells which, and so whether it was routed by the
change.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg2

PROBE_HOST: Final = "probe.example.com"
SIDES: Final = ("alpha", "beta")
ROUTES_PER_SERVICE: Final = 100

_SERVICES: Final = """
INSERT INTO fengling.service (id) SELECT name FROM unnest(%(sides)s) AS name;
INSERT INTO fengling.service (id)
  SELECT format('service-%%s', n) FROM generate_series(0, %(routes)s / %(share)s) AS n;
"""
_INSTANCES: Final = """
INSERT INTO fengling.instance (id, service_id, address)
  SELECT name, name, format('http://127.0.0.1:%%s', port)
    FROM unnest(%(sides)s, %(ports)s) AS side (name, port);
INSERT INTO fengling.instance (id, service_id, address)
  SELECT format('instance-%%s-%%s', n, i), format('service-%%s', n),
         format('http://127.0.0.1:%%s', (%(ports)s)[i])
    FROM generate_series(0, %(routes)s / %(share)s) AS n, generate_series(1, 2) AS i;
"""
_ROUTES: Final = """
INSERT INTO fengling.route (id, hosts, path, service_id) VALUES
  ('probe', ARRAY[%(probe_host)s], '/probe', 'alpha'),
  ('load', '{}', '/v1/{**rest}', 'alpha');
INSERT INTO fengling.route (id, hosts, path, service_id)
  SELECT format('route-%%s', n), ARRAY[format('host-%%s.example.com', n %% 200)],
         format('/api/%%s/{id}', n), format('service-%%s', n / %(share)s)
    FROM generate_series(1, %(routes)s) AS n;
"""
_BURST: Final = """
UPDATE fengling.route
   SET policies = jsonb_build_object('request_headers', jsonb_build_object('set',
                  jsonb_build_object('X-Round', %(mark)s)))
 WHERE id IN (SELECT format('route-%%s', n) FROM generate_series(%(first)s, %(last)s) AS n)
"""
_ONE: Final = """
UPDATE fengling.route
   SET policies = jsonb_build_object('request_headers', jsonb_build_object('set',
                  jsonb_build_object('X-Round', %(mark)s)))
 WHERE id = %(route)s
"""
_FLIP: Final = """
UPDATE fengling.route
   SET service_id = CASE service_id WHEN 'alpha' THEN 'beta' ELSE 'alpha' END
 WHERE id = 'probe' RETURNING service_id
"""


@contextmanager
def connected(dsn: str) -> Iterator[Any]:
    """A psycopg2 connection, closed in the end; nothing is committed for you."""
    connection = psycopg2.connect(dsn)
    try:
        yield connection
    finally:
        connection.close()


def fill(dsn: str, *, routes: int, ports: tuple[int, int]) -> None:
    """Write `routes` filler routes and the two others, with what they need, in one transaction."""
    values = {
        "routes": routes,
        "share": ROUTES_PER_SERVICE,
        "sides": list(SIDES),
        "ports": list(ports),
        "probe_host": PROBE_HOST,
    }
    with connected(dsn) as connection, connection.cursor() as cursor:
        for statements in (_SERVICES, _INSTANCES, _ROUTES):
            cursor.execute(statements, values)
        connection.commit()
        connection.autocommit = True
        cursor.execute("ANALYZE")


def newest_revision(dsn: str) -> int:
    with connected(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM fengling.revision")
        revision: int = cursor.fetchone()[0]
        return revision


class Commit:
    """
    One commit, made in a thread so that its effects can be watched meanwhile.

    ``sent_at`` is the moment before COMMIT goes out, ``returned_at`` the one
    after its answer, both in seconds of `time.perf_counter`.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.sent_at = 0.0
        self.returned_at = 0.0
        self._thread = threading.Thread(target=self._run, name="commit")
        self._thread.start()

    def _run(self) -> None:
        self.sent_at = time.perf_counter()
        self._connection.commit()
        self.returned_at = time.perf_counter()

    def wait(self) -> None:
        self._thread.join()


class Writer:
    """Changes made through one connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def flip_probe(self) -> str:
        """Send the probe route to the other side, uncommitted; returns the side's name."""
        with self._connection.cursor() as cursor:
            cursor.execute(_FLIP)
            side: str = cursor.fetchone()[0]
            return side

    def change_routes(self, first: int, last: int, mark: str) -> int:
        """Change the filler routes from `first` to `last`, uncommitted; returns how many."""
        with self._connection.cursor() as cursor:
            cursor.execute(_BURST, {"first": first, "last": last, "mark": mark})
            count: int = cursor.rowcount
            return count

    def change_route(self, number: int, mark: str) -> None:
        """Change one filler route, uncommitted unless the connection is in autocommit."""
        with self._connection.cursor() as cursor:
            cursor.execute(_ONE, {"route": f"route-{number}", "mark": mark})

    def commit(self) -> Commit:
        return Commit(self._connection)


class Writers:
    """Threads that commit one change after another, each through its own connection."""

    def __init__(self, dsn: str, *, changes: int, connections: int, mark: str) -> None:
        self._dsn = dsn
        self._mark = mark
        self._returned_at: list[float] = []
        self._errors: list[Exception] = []
        share = changes // connections
        self._threads = [
            threading.Thread(target=self._run, args=(n * share + 1, (n + 1) * share))
            for n in range(connections)
        ]
        self.changes = share * connections

    def run(self) -> float:
        """
        Make all the changes.

        Returns when the last commit was answered, by `time.perf_counter`.
        Raises whatever a connection failed with.
        """
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
        return max(self._returned_at)

    def _run(self, first: int, last: int) -> None:
        try:
            with connected(self._dsn) as connection:
                connection.autocommit = True
                writer = Writer(connection)
                for number in range(first, last + 1):
                    writer.change_route(number, self._mark)
                self._returned_at.append(time.perf_counter())
        except Exception as error:
            self._errors.append(error)
