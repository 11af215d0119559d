"""Signals, also to processes and at times that nobody would think of."""

from __future__ import annotations

import os
import signal

from tests.integration.gateway import GatewayProcess, Load, an_upload
from tests.integration.world import lines_with, wait_for_line
from tests.support.wait import wait_until

SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT)


class SignalTests:
    """A supervisor and its workers under fire."""

    def test_workers_leave_signals_to_their_supervisor(self, gateway: GatewayProcess) -> None:
        """``systemctl kill`` and a terminal signal every process of the group."""
        before = gateway.worker_pids()
        with Load(gateway.port, "/hello").running() as load:
            for number in SIGNALS:
                for pid in before:
                    os.kill(pid, number)
            load.wait_for(50)
        assert (load.refused, load.failed) == ([], [])
        assert gateway.worker_pids() == before

    def test_hangup_changes_what_workers_do_and_not_who_the_gateway_is(
        self, gateway: GatewayProcess
    ) -> None:
        """Its sockets, its lock and its place on Redis are those it started with."""
        toml = gateway.directory / "gateway.toml"
        changed = toml.read_text().replace('node = "n1"', 'node = "n2"')
        toml.write_text(changed.replace("worker_header = true", "worker_header = false"))
        gateway.signal(signal.SIGHUP)
        wait_for_line(gateway, "settings: node, debug.worker_header changed; ")
        old = gateway.worker_pids()
        gateway.signal(signal.SIGUSR2)
        wait_for_line(gateway, "rolling restart is complete")
        assert len(lines_with(gateway, "rolling restart begins: 2 workers")) == 1
        for pid in old:
            assert lines_with(gateway, f"(pid {pid}) is replaced by pid ", ", and drains")
            wait_for_line(gateway, f"(pid {pid}) has drained: exit status 0")
        status = gateway.manage("status")
        assert (status["node"], status["workers"][0]["node"]) == ("n1", "n1")
        assert "x-gateway-worker" not in gateway.fetch("/hello")[1]

    def test_no_signal_cuts_a_drain_short(self, gateway: GatewayProcess) -> None:
        """A log rotation, a reload, a second Ctrl-C: all are answered with patience."""
        client = an_upload(gateway)
        wait_until(lambda: gateway.get("/hello")[0] == 200)
        gateway.signal(signal.SIGTERM)
        wait_for_line(gateway, "draining: ")
        for number in SIGNALS:
            gateway.signal(number)
        wait_for_line(gateway, "still draining")
        client.sendall(b"done")
        assert b"200 OK" in client.recv(65536)
        client.close()
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.log

    def test_killed_worker_leaves_no_socket_behind(self, gateway: GatewayProcess) -> None:
        """Its offer to a next supervisor goes; those of the others stay."""
        directory = gateway.directory / "run" / gateway.node
        before = set(gateway.worker_pids())
        killed = min(before)
        assert (directory / f"worker-{killed}.sock").exists()
        os.kill(killed, signal.SIGKILL)
        pids = wait_until(lambda: len(new := set(gateway.worker_pids()) - {killed}) == 2 and new)
        gateway.wait_ready()
        offered = {f"worker-{pid}.sock" for pid in pids}
        wait_until(lambda: {one.name for one in directory.glob("worker-*.sock")} == offered)
