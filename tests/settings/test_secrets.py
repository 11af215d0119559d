"""Passwords and keys stay out of every message about settings, wherever they were put."""

from __future__ import annotations

import base64
import traceback
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fengling_gateway.settings import GatewaySettings, SettingsError, load_settings
from fengling_gateway.settings.environment import known_keys, variable
from tests.settings.test_settings import ENOUGH, load
from tests.support.secrets import CANARY, dsns, leaked, redis_urls

KEY = f"id:{CANARY}{CANARY}{CANARY}"
MISPLACED = st.sampled_from(
    [
        f"postgresql://u:{CANARY}@h/d",
        f"redis://:{CANARY}@h/0",
        f"host=h user=u password={CANARY}",
        KEY,
    ]
)
SECRET_KEYS = ("database.url", "database.listen_url", "redis.url")


def said(raw: str | None, environ: dict[str, str], tmp_path: Any = None) -> str:
    """Return everything that loading these says, and what their representation shows."""
    try:
        if raw is None:
            return repr(load_settings(None, {**ENOUGH, **environ}))
        return repr(load(raw, tmp_path, **environ))
    except SettingsError as error:
        return "".join(traceback.format_exception(error)) + repr(error.problems)


class SecretTests:
    @given(st.sampled_from(SECRET_KEYS), st.one_of(dsns, redis_urls))
    def test_url_is_never_repeated(self, key: str, url: str) -> None:
        """Of those that are wrong, the rule is said; those that are right are not shown."""
        if "\0" not in url:
            assert not leaked(said(None, {variable(key): url}))

    @given(st.sampled_from(sorted(known_keys())), MISPLACED, st.booleans())
    def test_secret_in_the_place_of_something_else_is_not_repeated(
        self, key: str, secret: str, is_file: bool
    ) -> None:
        """Also where a file with it should be named."""
        if key not in ("cluster", "node", "runtime_dir", "state_dir", "file.path") or is_file:
            name = variable(key) + ("_FILE" if is_file else "")
            environ = {name: secret}
            assert not leaked(said(None, environ))

    @pytest.mark.parametrize("key", ["cluster", "node", "log.level", "management.address"])
    @pytest.mark.parametrize("secret", [f"postgresql://u:{CANARY}@h/d", KEY])
    def test_refused_name_is_not_repeated(self, key: str, secret: str) -> None:
        """Where it is no path, which could be anything."""
        assert not leaked(said(None, {variable(key): secret}))

    @pytest.mark.parametrize("section", sorted(GatewaySettings.model_fields))
    @pytest.mark.parametrize("secret", [f"postgresql://u:{CANARY}@h/d", f"redis://:{CANARY}@h"])
    def test_secret_in_the_place_of_a_section_is_not_repeated(
        self, section: str, secret: str, tmp_path: Any
    ) -> None:
        """``database = "postgresql://…"`` is what one writes first."""
        if section not in ("runtime_dir", "state_dir"):
            assert not leaked(said(f'{section} = "{secret}"\n', {}, tmp_path))

    @pytest.mark.parametrize(
        "toml",
        [
            f'[database]\nurl_file = "postgresql://u:{CANARY}@h/d"',
            f'[sync]\nkeys_file = "{KEY}"',
            f'[sync]\nkeys = "{KEY}"',
            f'[sync]\nkeys = [["{KEY}"]]',
            f'[sync]\nkeys = ["{CANARY}"]',
            f'[sync]\nkeys = ["{KEY}"]',
            f'[sync]\nkeys = {{"{KEY}" = 1}}',
            f'[sync]\n"{KEY}" = 1',
            f'[database]\n"postgresql://u:{CANARY}@h/d" = 1',
            f'"postgresql://u:{CANARY}@h/d" = 1',
            f'[database.listen_url]\nx = "{CANARY}"',
            f'[database]\nlisten_url = ["{CANARY}"]',
            f'[[listeners]]\nname = "http"\naddress = "http://u:{CANARY}@h:80"',
            f'[[listeners]]\nname = "{KEY}"\naddress = "h:80"',
            f'listeners = ["http://u:{CANARY}@h:80"]',
            f'[database]\nurl = "postgresql://u:{CANARY}@h/d',
            f"[database]\nurl = postgresql://u:{CANARY}@h/d",
        ],
    )
    def test_no_shape_of_the_file_makes_it_repeat_one(self, toml: str, tmp_path: Any) -> None:
        """As they come out of a template that went wrong."""
        shown = said(toml, {}, tmp_path)
        assert "SettingsError" in shown
        assert not leaked(shown)

    @given(st.binary(min_size=32, max_size=64))
    def test_random_bytes_in_base64_are_not_repeated(self, key: bytes) -> None:
        """Slashes do not make a path of them."""
        text = base64.b64encode(key).decode().rstrip("=")
        assume(len(set(key)) > 16)  # as bytes of a key are
        assert text not in said(None, {"FENGLING_REDIS__URL_FILE": text})
