"""The units of systemd let programs do what the documentation has them do."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_access_log_of_the_documentation_can_be_written() -> None:
    """`ProtectSystem=strict` leaves nothing that can be, but for what is named."""
    unit = (ROOT / "etc" / "systemd" / "fengling-gateway.service").read_text().splitlines()
    assert "ProtectSystem=strict" in unit
    documented = (ROOT / "docs" / "access-log.md").read_text()
    found = re.search(r'^path = "(.+)"$', documented, re.MULTILINE)
    assert found is not None
    directory = Path(found[1]).parent.relative_to("/var/log")
    assert f"LogsDirectory={directory}" in unit
