"""The settings of a console."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from fengling_gateway.kubernetes.limits import NO_LIMITS, Limits
from fengling_gateway.settings import SettingsError, load_console_settings, load_settings
from fengling_gateway.settings.environment import known_keys, variable
from fengling_gateway.settings.model import GatewaySettings
from fengling_gateway.settings.sample import console_sample
from fengling_gateway.tap.console_kubernetes import limits_of

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


class TestKubernetes:
    """What namespaces may have."""

    def test_lists_are_read_in_their_canonical_form(self, tmp_path: Path) -> None:
        """As routes have their hosts."""
        file = tmp_path / "console.toml"
        file.write_text(
            "[kubernetes]\n"
            'hosts = ["shop=Shop.Example., *.bücher.example", "infra = *"]\n'
            'tenants = ["team-?=acme,acme-eu"]\n'
            'gateway_namespaces = ["infra", "edge-*"]\n'
            "max_priority = 0\n"
        )
        found = load_console_settings(file, ENOUGH).kubernetes
        assert found.hosts_by_namespace() == (
            ("shop", ("shop.example", "*.xn--bcher-kva.example")),
            ("infra", ("*",)),
        )
        assert found.tenants_by_namespace() == (("team-?", ("acme", "acme-eu")),)
        assert limits_of(found) == Limits(
            found.hosts_by_namespace(), found.tenants_by_namespace(), ("infra", "edge-*"), 0
        )

    def test_example_of_the_documentation_is_right(self, tmp_path: Path) -> None:
        """As it stands there."""
        page = (Path(__file__).parents[2] / "docs" / "kubernetes.md").read_text()
        example = page.partition("## Who may take what")[2].partition("```toml\n")[2]
        file = tmp_path / "console.toml"
        file.write_text(example.partition("```")[0])
        limits = limits_of(load_console_settings(file, ENOUGH).kubernetes)
        assert limits.hosts_outside("shop", ["a.shop.example", "a.team.example"]) == (
            "a.team.example",
        )
        assert limits.may_have_tenant("shop", "acme-eu")

    def test_nothing_is_limited_unless_it_is_said(self) -> None:
        """An update takes nothing away."""
        found = load_console_settings(None, ENOUGH).kubernetes
        assert limits_of(found) == NO_LIMITS
        assert found.gateway_api_priority == 0

    @pytest.mark.parametrize(
        ("key", "value", "about"),
        [
            ("hosts", '["shop"]', 'like "shop=shop.example,*.shop.example", not "shop"'),
            ("hosts", '["shop="]', "what shop may have must be a host name"),
            ("hosts", '["Shop=a.example"]', "must be namespaces and their hosts"),
            ("hosts", '["=a.example"]', "must be namespaces and their hosts"),
            ("hosts", '["shop/x=a.example"]', "must be namespaces and their hosts"),
            ("hosts", '["shop=a.example,"]', "what shop may have must be a host name"),
            ("hosts", '["shop=a.*.example"]', "what shop may have must be a host name"),
            ("hosts", '["shop=a.example:80"]', "must be a host name without a port"),
            ("tenants", '["shop=acme eu"]', "what shop may have must be 1 to 100 letters"),
            ("tenants", '["acme"]', 'like "shop=acme,acme-eu", not "acme"'),
            ("gateway_namespaces", '["infra=*"]', 'like "infra" or "edge-*"'),
            ("max_priority", "2147483648", "2147483648"),
            ("gateway_api_priority", "high", "must be a whole number"),
        ],
    )
    def test_what_is_malformed_is_said(self, key: str, value: str, about: str) -> None:
        """With what it should be like."""
        variables = {**ENOUGH, f"FENGLING_KUBERNETES__{key.upper()}": value}
        [found] = problems(variables)
        assert found.startswith(f"kubernetes.{key} ")
        assert about in found
