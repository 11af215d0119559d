"""What the tests themselves would leave behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fengling_gateway.embedded import guard
from tests.support.wait import wait_until

OWNER = """
import sys
from pathlib import Path
from tests.integration.gateway import GatewayProcess
directory = Path(sys.argv[1])
(directory / "routes.yaml").write_text("routes: []")
settings = {"file": {"path": str(directory / "routes.yaml")}}
gateway = GatewayProcess(directory=directory / "n1", source="file", settings=settings)
gateway.start()
gateway.wait_ready()
if sys.argv[2] == "supervisor-killed":
    gateway.kill()
print(gateway.process.pid, flush=True)
sys.stdin.read()
"""


class LeftBehindTests:
    """Somebody kills the tests."""

    @pytest.mark.parametrize("before", ["supervisor-serving", "supervisor-killed"])
    def test_killed_tests_leave_no_gateway(self, tmp_path: Path, before: str) -> None:
        """Neither a supervisor nor workers."""
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(tmp_path), before],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert owner.stdout is not None
        supervisor = int(owner.stdout.readline())
        left = [one for one in guard.processes().values() if one.session == supervisor]
        assert len(left) >= 2
        owner.kill()
        owner.communicate()
        wait_until(lambda: not guard.alive(left), timeout=30)
