"""The API's operations on gateways: who serves what, and asking them for something."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

from fengling_gateway.access.parameters import is_headers, is_id, text_up_to
from fengling_gateway.access.problems import ProblemError
from fengling_gateway.console.call import Answer, Call
from fengling_gateway.console.fleet import FleetWatch
from fengling_gateway.console.mirror import Mirror
from fengling_gateway.console.store import Store
from fengling_gateway.model.delta import Position
from fengling_gateway.model.management_tokens import ADMIN, WRITE

EXPLAINED: Final = {
    "method": text_up_to(32),
    "host": text_up_to(255),
    "path": text_up_to(8192),
    "query": text_up_to(8192),
    "listener": text_up_to(100),
    "peer": text_up_to(64),
    "headers": is_headers,
    "route": text_up_to(100),
}
"""What there is to say of a request that somebody asks about."""


class Bus(Protocol):
    """What is asked of gateways goes over; `fengling_gateway.syncbus` has it."""

    def ask_node(self, node: str, name: str, **args: Any) -> Deferred[int]: ...

    def switches(self) -> Deferred[dict[str, Any]]: ...

    def switch(
        self, kind: str, entity_id: str, *, off: bool, by: str, comment: str = ""
    ) -> Deferred[Any]: ...


class FleetApi:
    """
    Shows gateways, and asks them.

    Args:
        bus: None without Redis.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        store: Store,
        mirror: Mirror,
        fleet: FleetWatch,
        bus: Bus | None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._fleet = fleet
        self._bus = bus
        self._wall = wall

    async def fleet(self, call: Call) -> Answer:
        """Return every node with its workers, and how far they are."""
        call.access.require_all_tenants()
        call.only()
        return Answer(self.seen())

    def seen(self) -> dict[str, Any]:
        """Return what is known of the fleet."""
        position = self._mirror.position
        convergence = None if position is None else self._fleet.convergence(position).shown()
        return {
            "position": None if position is None else position._asdict(),
            "convergence": convergence,
            "problem": self._fleet.problem,
            "nodes": [state for _, state in sorted(self._fleet.states.items())],
        }

    async def reload(self, call: Call) -> Answer:
        """Have every gateway look at the database now."""
        call.access.require(WRITE)
        call.access.require_all_tenants()
        call.only("wait", "timeout")
        wait = call.one_of("wait", "none", ("none", "all"))
        timeout = call.timeout()
        fields = call.fields({"comment": text_up_to(1000)})
        comment = fields.get("comment")
        record = call.access.began("reload", None)
        outcome = "failed"
        try:
            await self._store.run(_reload, comment)
            outcome = "done"
        finally:
            call.access.ended(record, outcome, None)
        await self._mirror.look("reload")
        position = self._mirror.position
        value: dict[str, Any] = {"position": None if position is None else position._asdict()}
        if wait == "all" and position is not None:
            found = await self._fleet.reached(Position(*position), timeout)
            value["convergence"] = found.shown()
            if not found.is_reached:
                raise ProblemError("not_converged", "not every worker serves it yet", **value)
        return Answer(value)

    async def drain(self, call: Call) -> Answer:
        """Have a node say that it is not ready, or that it is again."""
        on = call.fields({"on": lambda value: type(value) is bool}).get("on", True)
        return await self._ask(call, "drain", on=on)

    async def restart(self, call: Call) -> Answer:
        """Have a node replace its workers, one after the other."""
        return await self._ask(call, "restart")

    async def _ask(self, call: Call, name: str, **args: Any) -> Answer:
        call.access.require(ADMIN)
        call.access.require_all_tenants()
        call.only()
        node, bus = call.path["node"], self._with_bus()
        record = call.access.began(f"{name} {node} {args or ''}".rstrip(), None)
        outcome = "failed"
        try:
            heard = await bus.ask_node(node, name, **args)
            outcome = "done"
        except LookupError:
            raise ProblemError("not_found", "there is no such node that lives") from None
        finally:
            call.access.ended(record, outcome, None)
        return Answer({"node": node, "asked": name, **args, "heard_by": heard}, status=202)

    async def switches(self, call: Call) -> Answer:
        """Return what is switched off beside the configuration."""
        call.access.require_all_tenants()
        call.only()
        found = await self._with_bus().switches()
        return Answer({"items": [asdict(one) for one in found.values() if one.off]})

    async def switch_off(self, call: Call) -> Answer:
        return await self._switch(call, off=True)

    async def switch_on(self, call: Call) -> Answer:
        return await self._switch(call, off=False)

    async def _switch(self, call: Call, *, off: bool) -> Answer:
        call.access.require(WRITE)
        call.access.require_all_tenants()
        call.only("comment")
        kind, entity_id = call.path["switched"], call.path["id"]
        if not is_id(entity_id):
            raise ProblemError("not_found")
        word = "off" if off else "on"
        record = call.access.began(f"switch {word} {kind}/{entity_id}", None)
        outcome = "failed"
        try:
            written = await self._with_bus().switch(
                kind,
                entity_id,
                off=off,
                by=call.access.operator.subject,
                comment=call.text("comment"),
            )
            outcome = "done"
        except ValueError as error:
            raise ProblemError("conflict", str(error)) from None
        finally:
            call.access.ended(record, outcome, None)
        return Answer(asdict(written))

    async def explain(self, call: Call) -> Answer:
        """Say which route a request would take, and why."""
        call.access.require_all_tenants()
        call.only()
        return Answer(self._mirror.explain(call.fields(EXPLAINED), self._wall()))

    def _with_bus(self) -> Bus:
        if self._bus is None:
            raise ProblemError("bus_unavailable", "there is no Redis ([redis] url)")
        return self._bus


def _reload(connection: Any, comment: str | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT fengling.reload(%s)", (comment,))
    connection.commit()
