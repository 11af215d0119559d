"""A supervisor begins where another one was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from tests.integration.gateway import GatewayProcess, an_upload
from tests.integration.world import refuses, wait_for_line
from tests.support.wait import wait_until


def all_gone(pids: list[int]) -> bool:
    return not any(os.path.exists(f"/proc/{pid}") for pid in pids)


class TakeoverTests:
    """With workers of the killed one in every state."""

    def test_sockets_of_a_drain_that_was_killed_are_not_taken_over(
        self, gateways: Callable[..., GatewayProcess], file_settings: dict[str, Any]
    ) -> None:
        """They refuse everybody; the next supervisor's are new, and the drain goes on."""
        # Longer than a busy machine takes to start the next one.
        file_settings["settings"]["drain"] = {"deadline": "60s"}
        gateway = gateways(**file_settings)
        gateway.wait_ready()
        client = an_upload(gateway)
        wait_until(lambda: gateway.get("/hello")[0] == 200)
        orphans = gateway.worker_pids()
        gateway.signal(signal.SIGTERM)
        wait_for_line(gateway, "draining: ")
        wait_until(lambda: refuses(gateway.port))
        gateway.kill()
        gateway.start()
        gateway.wait_ready()
        assert [gateway.get("/hello")[0] for _ in range(20)] == [200] * 20
        client.sendall(b"done")
        assert b"200 OK" in client.recv(65536)
        client.close()
        wait_until(lambda: all_gone(orphans))
        assert "Traceback" not in gateway.log

    def test_worker_that_hung_drains_when_it_wakes(self, gateway: GatewayProcess) -> None:
        """It would serve an old configuration for as long as its grace lasts."""
        orphans = gateway.worker_pids()
        os.kill(orphans[0], signal.SIGSTOP)
        gateway.kill()
        gateway.start()
        gateway.wait_ready()
        os.kill(orphans[0], signal.SIGCONT)
        wait_until(lambda: all_gone(orphans))
        assert [gateway.get("/hello")[0] for _ in range(20)] == [200] * 20
        assert "Traceback" not in gateway.log

    def test_stop_during_the_takeover_stops_the_former_workers_too(
        self, gateway: GatewayProcess
    ) -> None:
        """Ctrl-C leaves no process behind."""
        orphans = gateway.worker_pids()
        gateway.kill()
        gateway.start()
        wait_for_line(gateway, "adopted the sockets of 2 workers")
        assert gateway.stop() == 0
        wait_until(lambda: all_gone(orphans))
