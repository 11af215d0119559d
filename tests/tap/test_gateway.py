"""The command, where it can't even begin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NO_ASSEMBLY = """
import sys
sys.modules['fengling_gateway.tap.assembly'] = None
"""
SIGNALLED_AT_THE_IMPORT_OF = """
import os, signal, sys
class Signalled:
    def find_spec(self, name, *_):
        if name == {first!r}:
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                os.kill(os.getpid(), number)
            sys.exit(7)
sys.meta_path.insert(0, Signalled())
"""
MAIN = """
from fengling_gateway.tap.gateway import main
main()
"""
TWISTD = """
import sys
sys.argv[1:1] = ["-n", "--pidfile=", "fengling-gateway"]
from twisted.scripts.twistd import run
run()
"""


def run(program: str, config: Path) -> subprocess.CompletedProcess[str]:
    config.write_text(
        f'source = "file"\n[file]\npath = "{config}.yaml"\n[management]\nenabled = false\n'
    )
    return subprocess.run(
        [sys.executable, "-c", program, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class StartTests:
    """`main`"""

    def test_broken_installation_ends_it(self, tmp_path: Path) -> None:
        """An import that fails leaves no process that does nothing; its traceback is in the log."""
        ran = run(NO_ASSEMBLY + MAIN, tmp_path / "gateway.toml")
        assert ran.returncode == 1
        assert "the gateway could not start" in ran.stdout

    @pytest.mark.parametrize(("program", "first"), [(MAIN, "twisted"), (TWISTD, "pydantic")])
    def test_early_signal_does_not_end_it(self, tmp_path: Path, program: str, first: str) -> None:
        """A reload that comes right behind the start finds nothing to reload: not even imports."""
        signalled = SIGNALLED_AT_THE_IMPORT_OF.format(first=first)
        ran = run(signalled + program, tmp_path / "gateway.toml")
        assert ran.returncode == 7, ran.stderr
