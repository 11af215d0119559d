"""The settings of signing in to a console."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from fengling_gateway.settings import SettingsError, load_console_settings
from fengling_gateway.settings.console import ConsoleSettings

ENOUGH = {
    "FENGLING_DATABASE__URL": "postgresql://console@localhost/fengling",
    "FENGLING_MANAGEMENT__TOKEN_KEYS": f"k:{secrets.token_hex(32)}",
}
PROVIDER = {
    "FENGLING_OIDC__ISSUER": "https://id.example",
    "FENGLING_OIDC__CLIENT_ID": "console",
    "FENGLING_OIDC__ADMIN_GROUPS": "gw admins,ops",
    "FENGLING_SIGNIN__EXTERNAL_URLS": "https://console.example",
}


def load(**changed: str) -> ConsoleSettings:
    return load_console_settings(None, {**ENOUGH, **changed})


def problem(environ: dict[str, str], path: Path | None = None) -> str:
    with pytest.raises(SettingsError) as found:
        load_console_settings(path, {**ENOUGH, **environ})
    [one] = found.value.problems
    return str(one)


def test_links_need_no_settings() -> None:
    """Sessions last for a working day, and two hours without one."""
    settings = load()
    assert (settings.signin.session_lifetime, settings.signin.session_idle) == (43200, 7200)
    assert settings.oidc.issuer is None


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://Console.example/", "https://console.example"),
        ("http://10.0.0.5:8002", "http://10.0.0.5:8002"),
        ("http://[::1]:8002", "http://[::1]:8002"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_address_of_a_console_is_an_origin(given: str, meant: str) -> None:
    """As browsers write it."""
    settings = load(FENGLING_SIGNIN__EXTERNAL_URLS=given)
    assert settings.signin.external_urls == [meant]


@pytest.mark.parametrize(
    "url",
    [
        "console.example",
        "ftp://console.example",
        "https://console.example/x",
        "https://user@console.example",
        "https://console.example:0",
        "https://console.example:99999",
        "https://console.example:",
        "https://",
        "https://a b",
        "https://console.example?x",
        "https://[::1",
    ],
)
def test_what_is_no_origin_is_refused(url: str) -> None:
    """No page could ever have sent anything."""
    assert "https://console.example" in problem({"FENGLING_SIGNIN__EXTERNAL_URLS": url})


@pytest.mark.parametrize(
    ("given", "is_secure"),
    [
        ({}, False),
        ({"EXTERNAL_URLS": "https://a.example"}, True),
        ({"EXTERNAL_URLS": "https://a.example,http://10.0.0.5:8002"}, False),
        ({"EXTERNAL_URLS": "http://a.example", "SECURE_COOKIES": "true"}, True),
        ({"EXTERNAL_URLS": "https://a.example", "SECURE_COOKIES": "false"}, False),
    ],
)
def test_cookies_are_secure_where_browsers_come_by_https(
    given: dict[str, str], is_secure: bool
) -> None:
    """Unless somebody says otherwise."""
    named = {f"FENGLING_SIGNIN__{name}": value for name, value in given.items()}
    assert load(**named).signin.is_secure() is is_secure


def test_provider_is_described_in_a_few_settings(tmp_path: Path) -> None:
    """Its secret is in a file, and in no message or representation."""
    (tmp_path / "secret").write_text("hush-hush\n")
    settings = load(**PROVIDER, FENGLING_OIDC__CLIENT_SECRET_FILE=str(tmp_path / "secret"))
    assert settings.oidc.client_secret == "hush-hush"
    assert "hush" not in repr(settings)
    assert tmp_path / "secret" in settings.secret_files


def test_secret_is_not_quoted(tmp_path: Path) -> None:
    """Not even if it is of the wrong kind."""
    file = tmp_path / "console.toml"
    file.write_text("[oidc]\nclient_secret = 123456\n")
    assert "123456" not in problem({}, file)


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ({"gw admins"}, "admin"),
        ({"e", "v", "ops"}, "admin"),
        ({"e", "v"}, "editor"),
        ({"v"}, "viewer"),
        ({"gw", "admins"}, None),
        (set(), None),
    ],
)
def test_group_decides_what_somebody_may(groups: set[str], role: str | None) -> None:
    """The one that allows most; none of them, nothing."""
    more = {"FENGLING_OIDC__EDITOR_GROUPS": "e", "FENGLING_OIDC__VIEWER_GROUPS": "v"}
    assert load(**PROVIDER, **more).oidc.role_of(frozenset(groups)) == role


def test_everybody_else_may_get_a_role() -> None:
    """Only if somebody says so."""
    settings = load(**PROVIDER, FENGLING_OIDC__DEFAULT_ROLE="viewer").oidc
    assert settings.role_of(frozenset()) == "viewer"
    assert settings.role_of(frozenset(("ops",))) == "admin"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"FENGLING_OIDC__CLIENT_ID": None}, "client_id"),
        ({"FENGLING_OIDC__ADMIN_GROUPS": None}, "lets nobody in"),
        ({"FENGLING_OIDC__SCOPES": "profile"}, "openid"),
        ({"FENGLING_OIDC__ISSUER": "http://id.example"}, "https://host/path"),
        ({"FENGLING_SIGNIN__EXTERNAL_URLS": None}, "signin.external_urls"),
        ({"FENGLING_OIDC__GROUPS_CLAIM": "/"}, "realm_access"),
    ],
)
def test_half_a_provider_is_refused(changed: dict[str, Any], said: str) -> None:
    """Before anybody tries to sign in."""
    environ = {name: text for name, text in {**PROVIDER, **changed}.items() if text is not None}
    assert said in problem(environ)
