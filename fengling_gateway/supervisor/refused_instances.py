"""Instances that workers send nothing to, because this host must not connect to where they are."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from twisted.logger import Logger

from fengling_gateway.supervisor.link import WorkerLink, WorkerState

_log = Logger(namespace="fengling.config")

SHOWN: Final = 100
"""Warnings in the status, at most: as many as a worker names."""

MAX_LOGGED: Final = 1000
"""Refusals that the log has a line for, each once until it is over."""


class RefusedInstances:
    """What workers have said of it; they judge by settings that they were started with."""

    def __init__(self, links: Callable[[], Collection[WorkerLink]]) -> None:
        self._links = links
        self._logged: dict[str, str] = {}

    def applied(self, link: WorkerLink) -> None:
        """Tell the log of what a worker, and no other before it, refuses."""
        refused = link.served.refused
        for instance_id, reason in refused.items():
            if self._logged.get(instance_id) != reason and len(self._logged) < MAX_LOGGED:
                self._logged[instance_id] = reason
                _log.warn(
                    "nothing is sent to instance {id}: {reason}",
                    log_id="upstream.instance_refused",
                    id=instance_id,
                    reason=reason,
                )
        if len(self._logged) > len(refused):
            known = {one for other in self._links() for one in other.served.refused}
            self._logged = {one: why for one, why in self._logged.items() if one in known}

    def warnings(self) -> list[dict[str, str]]:
        """Return what somebody should see to, by the ids of instances."""
        refused: dict[str, str] = {}
        more = 0
        for link in self._links():
            if link.state is not WorkerState.DRAINING:  # it may have been told otherwise
                refused.update(link.served.refused)
                more = max(more, link.served.refused_total)
        found = [
            _warning(instance_id, f"is sent nothing: {reason}")
            for instance_id, reason in sorted(refused.items())[:SHOWN]
        ]
        if found and more > len(found):
            found[-1] = _warning("", f"and {more - len(found) + 1} more instances are sent nothing")
        return found


def _warning(instance_id: str, why: str) -> dict[str, str]:
    said = f"instance {instance_id} {why}" if instance_id else why
    return {"kind": "instance", "id": instance_id, "message": said}
