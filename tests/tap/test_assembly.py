"""What the composition root makes of the settings."""

from __future__ import annotations

import secrets

from fengling_gateway.settings import load_settings
from fengling_gateway.tap.assembly import supervisor_settings


def test_settings_of_a_supervisor_show_no_secrets() -> None:
    """Its workers are told the keys and the password of Redis; a log is not."""
    keys = [secrets.token_hex(32) for _ in range(2)]
    settings = load_settings(
        None,
        {
            "FENGLING_DATABASE__URL": "postgresql://u:canary@h/d",
            "FENGLING_REDIS__URL": "redis://:canary@h",
            "FENGLING_SYNC__KEYS": f"a:{keys[0]}",
            "FENGLING_MANAGEMENT__TOKEN_KEYS": f"a:{keys[1]}",
        },
    )
    shown = repr(supervisor_settings(settings))
    assert "SupervisorSettings" in shown
    assert not [secret for secret in ("canary", *keys) if secret in shown]
