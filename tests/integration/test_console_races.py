"""Many who write the same at once, through two consoles: nothing that was written is lost."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from fengling_gateway.embedded.postgres import PostgresServer
from tests.integration.console import API, ConsoleProcess, Fleet, fleet_with_database

pytestmark = pytest.mark.timeout(180)

WRITERS = 20
CHANGES = 50
ENTITIES = ("routes/r1", "routes/r2", "services/s1", "instances/s1-1")


@pytest.fixture(scope="module")
def fleet(
    postgres: PostgresServer, _migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("races")
    with fleet_with_database(postgres, _migrated_template, directory) as fleet:
        fleet.sql.add_service("s1", "http://127.0.0.1:9")
        fleet.sql.add_route("r1", "/r1", "s1")
        fleet.sql.add_route("r2", "/r2", "s1")
        yield fleet


class Writer(threading.Thread):
    """
    Adds one to a label of an entity, and to one of its own, again and again.

    Attributes:
        statuses: of the answers to its changes.
    """

    def __init__(self, number: int, console: ConsoleProcess) -> None:
        super().__init__(daemon=True)
        self._number = number
        self._console = console
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.problem = ""

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._console.port, timeout=60)
        try:
            for turn in range(CHANGES):
                path = ENTITIES[(self._number + turn) % len(ENTITIES)]
                self.statuses[path, self._change(connection, path, turn)] += 1
        except Exception as error:
            self.problem = repr(error)
        finally:
            connection.close()

    def _change(self, connection: http.client.HTTPConnection, path: str, turn: int) -> int:
        credential = {"Authorization": f"Bearer {self._console.token}"}
        connection.request("GET", f"{API}/{path}", headers=credential)
        read = connection.getresponse()
        row = json.loads(read.read())
        labels = row["labels"]
        own = f"w{self._number}"
        labels = {**labels, "n": labels.get("n", 0) + 1, own: labels.get(own, 0) + 1}
        headers = {**credential, "If-Match": read.headers["ETag"]}
        if turn % 2:
            method, kind, body = "PATCH", "application/merge-patch+json", {"labels": labels}
        else:
            method, kind, body = "PUT", "application/json", {**row, "labels": labels}
            for name in ("access", "health", "rejected"):
                body.pop(name, None)
        headers["Content-Type"] = kind
        connection.request(method, f"{API}/{path}", json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status not in {200, 409, 412}:
            self.problem = f"{answer.status} {content[:500]!r}"
        return answer.status


def test_no_update_is_lost(fleet: Fleet) -> None:
    """Each counter is what has succeeded, of all and of each; all else was refused with 409 or 412."""
    consoles = [fleet.console(), fleet.console()]
    before = fleet.sql.revision
    writers = [Writer(number, consoles[number % 2]) for number in range(WRITERS)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert [one.problem for one in writers if one.problem] == []
    total: Counter[tuple[str, int]] = sum((one.statuses for one in writers), Counter())
    print(dict(total))
    assert total.total() == WRITERS * CHANGES
    assert {status for _, status in total} <= {200, 409, 412}
    for path in ENTITIES:
        labels = consoles[0].get(path)["labels"]
        assert labels["n"] == total[path, 200]
        each = {f"w{n}": one.statuses[path, 200] for n, one in enumerate(writers)}
        assert {name: labels.get(name, 0) for name in each} == each
    done = sum(count for (_, status), count in total.items() if status == 200)
    assert fleet.sql.revision - before == done
    assert done >= CHANGES  # somebody always succeeds
    conflicts = total.total() - done
    assert conflicts, "nobody raced"


def test_what_is_made_by_many_is_made_once(fleet: Fleet) -> None:
    """One is told that it is there now; the others that it is there already."""
    consoles = [fleet.console(), fleet.console()]
    statuses: Counter[int] = Counter()

    def create(console: ConsoleProcess, number: int) -> None:
        for name in range(10):
            asked = console.post("services", {"id": f"once-{name}", "labels": {"by": number}})
            statuses[asked.status] += 1

    threads = [
        threading.Thread(target=create, args=(consoles[number % 2], number)) for number in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert statuses == {201: 10, 409: 70}
