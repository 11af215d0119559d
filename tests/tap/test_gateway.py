"""The command, where it can't even begin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


class StartTests:
    """`run`"""

    def test_broken_installation_ends_it(self, tmp_path: Path) -> None:
        """An import that fails leaves no process that does nothing; its traceback is in the log."""
        config = tmp_path / "gateway.toml"
        config.write_text(
            f'source = "file"\n[file]\npath = "{tmp_path}/routes.yaml"\n[management]\nenabled = false\n'
        )
        program = (
            "import sys\n"
            "sys.modules['fengling_gateway.tap.assembly'] = None\n"
            "from fengling_gateway.tap.gateway import main\n"
            "main()\n"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program, "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert ran.returncode == 1
        assert "the gateway could not start" in ran.stdout
