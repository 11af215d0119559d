"""The settings of a console."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from fengling_gateway.settings import SettingsError, load_console_settings, load_settings
from fengling_gateway.settings.environment import known_keys, variable
from fengling_gateway.settings.model import GatewaySettings
from fengling_gateway.settings.sample import console_sample

KEY = f"k:{secrets.token_hex(32)}"
ENOUGH = {
    "FENGLING_DATABASE__URL": "postgresql://console@localhost/fengling",
    "FENGLING_MANAGEMENT__TOKEN_KEYS": KEY,
}


def problems(environ: dict[str, str], path: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as found:
        load_console_settings(path, environ)
    return [str(one) for one in found.value.problems]


class TestConsoleSettings:
    """What a console needs and takes."""

    def test_a_database_and_keys_are_enough(self) -> None:
        settings = load_console_settings(None, ENOUGH)
        assert settings.host_and_port() == ("127.0.0.1", 8002)
        assert settings.redis.url is None

    def test_what_is_missing_is_named_all_at_once(self) -> None:
        found = problems({"FENGLING_REDIS__URL": "redis://localhost"})
        assert [one.partition(":")[0] for one in found] == [
            "database.url",
            "management.token_keys",
            "sync.keys",
        ]

    def test_an_unknown_key_is_named_with_the_nearest(self, tmp_path: Path) -> None:
        file = tmp_path / "console.toml"
        file.write_text('[http]\nadress = "127.0.0.1:1"\n')
        [found] = problems(ENOUGH, file)
        assert "http.adress" in found
        assert "address" in found

    def test_one_environment_serves_a_gateway_too(self) -> None:
        """What the other program knows is not refused; what nobody knows is."""
        both = {**ENOUGH, "FENGLING_WORKERS": "2", "FENGLING_HTTP__ADDRESS": "127.0.0.1:8002"}
        assert load_console_settings(None, both).name
        assert load_settings(None, both).workers == 2
        assert "FENGLING_WORKER" in problems({**both, "FENGLING_WORKER": "2"})[0]

    def test_every_shared_key_means_the_same_variable(self) -> None:
        shared = known_keys().keys() & known_keys(type(load_console_settings(None, ENOUGH))).keys()
        assert {"database.url", "sync.keys", "management.token_keys"} <= shared
        assert variable("database.url") in ENOUGH
        assert "workers" in known_keys(GatewaySettings)

    def test_token_and_bus_keys_may_not_be_the_same(self) -> None:
        [found] = problems({**ENOUGH, "FENGLING_SYNC__KEYS": KEY})
        assert "shares a secret" in found

    def test_a_path_is_relative_to_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "console.toml"
        file.write_text('[issuers]\nca_file = "ca.pem"\n')
        assert load_console_settings(file, ENOUGH).issuers.ca_file == tmp_path / "ca.pem"

    def test_keys_of_secrets_are_read_as_by_gateways(self, tmp_path: Path) -> None:
        """From a file that nobody else may read; other content is a change."""
        keys = tmp_path / "secret.keys"
        keys.touch(mode=0o600)
        keys.write_text(KEY)
        file = tmp_path / "console.toml"
        file.write_text('[secrets]\nkey_file = "secret.keys"\n')
        before = load_console_settings(file, ENOUGH)
        assert before.secrets.keys == (KEY,)
        assert KEY not in repr(before)
        keys.write_text(f"k2:{secrets.token_hex(32)}")
        assert before.changed_keys(load_console_settings(file, ENOUGH)) == ["secrets.key_file"]
        keys.chmod(0o644)
        [found] = problems(ENOUGH, file)
        assert found.startswith("secrets.key_file: ")

    def test_the_sample_is_as_it_would_be_written_now(self) -> None:
        assert Path("etc/console.toml").read_text() == console_sample()

    def test_the_sample_is_valid(self) -> None:
        keys = {"FENGLING_MANAGEMENT__TOKEN_KEYS": KEY}
        assert load_console_settings("etc/console.toml", keys).cluster == "default"
