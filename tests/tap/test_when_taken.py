"""Which settings a rolling restart takes."""

from __future__ import annotations

from typing import Any, Final

import pytest

from fengling_gateway.settings import SettingsError, load_settings
from fengling_gateway.settings.environment import known_keys, variable
from fengling_gateway.tap.assembly import supervisor_settings, with_changes
from fengling_gateway.tap.when_taken import when_taken

ENOUGH: Final = {
    "FENGLING_SOURCE": "file",
    "FENGLING_FILE__PATH": "/routes.yaml",
    "FENGLING_TRACING__ENDPOINT": "http://otel:4318",
}
NO_MANAGEMENT: Final = {"FENGLING_MANAGEMENT__ENABLED": "false"}
CHANGED: Final = (
    "0.5",
    "status",
    "2",
    "20",
    "200",
    "2000",
    "100000",
    "64MiB",
    "false",
    "true",
    "stock",
    "10.0.0.53",
    "debug",
    "json",
    "trusted_proxies",
    "x",
)
REDIS: Final = {
    "FENGLING_REDIS__URL": "redis://h",
    "FENGLING_SYNC__KEYS": "a:9d0e5a7c3b1f4826b5c2d8e7f6a1904c8d3e2b7a6f5c4d1e0b9a8f7c6d5e4f3a",
}
OTHER_REDIS: Final = {
    "FENGLING_REDIS__URL": "redis://i",
    "FENGLING_SYNC__KEYS": "b:0b9a8f7c6d5e4f3a9d0e5a7c3b1f4826b5c2d8e7f6a1904c8d3e2b7a6f5c4d1e",
}


def told_to_workers(environ: dict[str, str]) -> Any:
    """After a gateway that began with few settings has read these."""
    running = supervisor_settings(load_settings(None, {**ENOUGH, **NO_MANAGEMENT, **REDIS}))
    settings = load_settings(None, {**ENOUGH, **NO_MANAGEMENT, **REDIS, **environ})
    return with_changes(running, settings).worker_configuration


@pytest.mark.parametrize("key", known_keys())
def test_what_new_workers_are_told_and_nothing_else_is_taken(key: str) -> None:
    """Tried with whatever value the key may have."""
    told = []
    name = variable(key)
    for value in [*CHANGED, *([OTHER_REDIS[name]] if name in OTHER_REDIS else [])]:
        try:
            told.append(told_to_workers({name: value}))
        except SettingsError:
            continue
    is_told = any(one != told_to_workers({}) for one in told)
    said = when_taken([key], can_replace_workers=True)
    if "at once" not in said:
        assert ("rolling" in said) is is_told


def test_keys_that_sign_what_goes_over_redis_are_those_of_new_workers_too() -> None:
    """Though not its URL, which the supervisor itself keeps to until a restart."""
    told = told_to_workers(OTHER_REDIS)["redis"]
    assert told["url"] == REDIS["FENGLING_REDIS__URL"]
    assert told["keys"] == [OTHER_REDIS["FENGLING_SYNC__KEYS"]]


def test_each_key_is_said_where_they_differ() -> None:
    """Nobody restarts a gateway for a limit, or waits for USR2 to take a level of the log."""
    said = when_taken(["limits.max_headers", "log.level"], can_replace_workers=True)
    assert said == (
        "a rolling restart (USR2) takes limits.max_headers; only a restart takes log.level"
    )


def test_only_worker_takes_nothing_while_it_runs() -> None:
    """It is in the process of the supervisor."""
    said = when_taken(["limits.max_headers"], can_replace_workers=False)
    assert said == "only a restart takes what has changed"


def test_what_handshakes_take_needs_nothing() -> None:
    """HUP itself tells workers of certificates; whether a listener has TLS, only new ones learn."""
    said = when_taken(["listeners.tls.certificates", "listeners.tls"], can_replace_workers=True)
    assert said == (
        "listeners.tls.certificates: in use at once; "
        "a rolling restart (USR2) takes what has changed"
    )
