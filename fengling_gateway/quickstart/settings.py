"""The settings of the quickstart's gateway and console. Secrets are in files that they name."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from fengling_gateway.auth.tokens import TokenRing
from fengling_gateway.model.management_tokens import ADMIN
from fengling_gateway.quickstart.place import Place

if TYPE_CHECKING:
    from fengling_gateway.quickstart.stack import Stack


_TOKEN_SECONDS: Final = 30 * 86400


def gateway_settings(stack: Stack) -> str:
    """Return the settings file."""
    files = stack.place.secrets
    return f"""\
# Made by scripts/quickstart for this run. etc/gateway.toml explains every key.
cluster = "quickstart"
node = "quickstart"
workers = {stack.workers}
runtime_dir = "{stack.scratch / "run"}"
state_dir = "{stack.scratch / "state"}"

[database]
url_file = "{files / "database-url"}"

[redis]
url_file = "{files / "redis-url"}"

[sync]
keys_file = "{files / "sync-keys"}"

[management]
address = "127.0.0.1:{stack.management_port}"
token_keys_file = "{files / "token-keys"}"

[[listeners]]
name = "http"
address = "127.0.0.1:{stack.traffic_port}"

# Everything runs on this machine.
[upstream]
allow = ["127.0.0.0/8", "::1"]

# Names the worker in every answer: fine in a demonstration.
[debug]
worker_header = true
"""


def console_settings(stack: Stack) -> str:
    """Return the console's settings file."""
    files = stack.place.secrets
    port = stack.console_port
    return f"""\
# Made by scripts/quickstart for this run. etc/console.toml explains every key.
cluster = "quickstart"
name = "quickstart"

[http]
address = "127.0.0.1:{port}"

[database]
url_file = "{files / "console-database-url"}"

[redis]
url_file = "{files / "redis-url"}"

[sync]
keys_file = "{files / "sync-keys"}"

[management]
token_keys_file = "{files / "token-keys"}"

[signin]
external_urls = ["http://127.0.0.1:{port}", "http://localhost:{port}"]

# Everything runs on this machine.
[upstream]
allow = ["127.0.0.0/8", "::1"]
"""


def make_gateway_secrets(place: Place, *, database: str, redis: str) -> str:
    """Write what `gateway_settings` refers to, and return a token for the management API."""
    place.new_secret("database-url", database)
    place.new_secret("redis-url", redis)
    place.new_secret("sync-keys", f"quickstart:{secrets.token_hex(32)}")
    key = place.new_secret("token-keys", f"quickstart:{secrets.token_hex(32)}")
    return TokenRing([key]).issue(
        subject="quickstart",
        scopes=[ADMIN],
        now=time.time(),
        lifetime_seconds=_TOKEN_SECONDS,
        token_id=secrets.token_hex(8),
    )
