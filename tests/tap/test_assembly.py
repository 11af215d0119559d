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


def test_what_releases_a_held_revision_is_possible() -> None:
    """Without a management API ``fenglingctl confirm`` has nobody to ask."""
    off = {"FENGLING_MANAGEMENT__ENABLED": "false"}
    file = {"FENGLING_SOURCE": "file", "FENGLING_FILE__PATH": "/routes.yaml"}
    database = {"FENGLING_DATABASE__URL": "postgresql://h/d"}
    on = {"FENGLING_MANAGEMENT__TOKEN_KEYS": f"a:{secrets.token_hex(32)}"}
    said = [
        supervisor_settings(load_settings(None, environ)).release_held
        for environ in (file | on, file | off, database | on, database | off)
    ]
    assert ["fenglingctl confirm" in one for one in said] == [True, False, True, False]
    assert "the file" in said[1]
    assert "SELECT fengling.confirm({revision})" in said[3]
