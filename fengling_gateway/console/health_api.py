"""The API's operations on the health of instances: what probes have found, and probing now."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.console.ownership import entry_shown, is_theirs
from fengling_gateway.console.store import Store
from fengling_gateway.editing.history import entity_history
from fengling_gateway.model.entity import Key
from fengling_gateway.model.management_tokens import WRITE


class Probing(Protocol):
    """Who probes instances; `fengling_gateway.health` does."""

    def status(self) -> dict[str, Any]: ...

    def instance_status(self, instance_id: str) -> dict[str, Any] | None: ...

    def probe_now(self, instance_id: str) -> Deferred[dict[str, Any]]: ...


class HealthApi:
    """
    Args:
        probing: None where this console does not probe.
    """

    def __init__(self, *, store: Store, mirror: Mirror, probing: Probing | None) -> None:
        self._store = store
        self._mirror = mirror
        self._probing = probing

    async def health(self, call: Call) -> Answer:
        """Return what is known of all instances that are probed, and who probes."""
        call.access.require_all_tenants()
        call.only()
        return Answer(
            {"prober": None, "instances": {}} if self._probing is None else self._probing.status()
        )

    async def instance(self, call: Call) -> Answer:
        """Return what is known of one instance, and what has been."""
        call.only("limit")
        key = self._visible(call)
        found = await self._store.run(
            entity_history, Key("instance_health", key.id), limit=call.limit()
        )
        body = self._mirror.config.bodies.get(Key("instance_health", key.id))
        probes = None if self._probing is None else self._probing.instance_status(key.id)
        return Answer(
            {
                "instance": key.id,
                "verdict": json.loads(body) if body else {"health": "unknown"},
                "probes": probes,
                "history": [
                    entry_shown(revision, change, call.access.operator.tenants)
                    for revision, change in found.entries
                ],
            }
        )

    async def probe(self, call: Call) -> Answer:
        """Probe an instance now, and say what came of it."""
        call.access.require(WRITE)
        call.only()
        key = self._visible(call)
        if self._probing is None:
            raise ProblemError("conflict", "this console does not probe ([probes] enabled)")
        return Answer(await self._probing.probe_now(key.id))

    def _visible(self, call: Call) -> Key:
        key = Key("instance", call.path["id"])
        body = self._mirror.config.bodies.get(key)
        tenants = call.access.operator.tenants
        if body is None or not is_theirs("instance", json.loads(body), tenants, lambda _: None):
            raise ProblemError("not_found", "there is no such instance")
        return key


def read_health(connection: Any, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what is reported of some instances, by id; nothing of what nobody has judged."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT instance_id, health, reason, source,"
            " to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
            " FROM fengling.instance_health WHERE instance_id = ANY (%s)",
            (list(ids),),
        )
        return {
            instance: {"health": health, "reason": reason, "source": source, "since": since}
            for instance, health, reason, source, since in cursor
        }
