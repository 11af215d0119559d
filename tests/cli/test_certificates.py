"""Certificates and secrets by ``fenglingctl``: nothing that it prints holds a secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from fengling_gateway.auth.sealing import Sealer, parse_sealing_keys
from tests.cli.conftest import Run, document
from tests.cli.stub_gateway import StubGateway
from tests.support.issued import ROOT, SEALED, SHOP

OLD, NEW = (f"{name}:{os.urandom(32).hex()}" for name in ("2025", "2026"))

CONFIGURATION = {
    "secrets": {"shop-key": {"value": SEALED}, "other": {"value": "env:OTHER_KEY"}},
    "certificates": [
        {"id": "shop", "chain": f"the shop's\n{SHOP.chain}", "key_secret": "shop-key"}
    ],
    "services": [
        {"id": "s", "tls": {"ca": ROOT.pem, "client_certificate": "shop", "sni": "s.internal"}}
    ],
}


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file with the keys, which the environment names."""
    path = tmp_path / "secret.keys"
    path.write_text(OLD)
    path.chmod(0o600)
    monkeypatch.setenv("FENGLING_SECRETS__KEY_FILE", str(path))
    return path


def opened(value: str, name: str, *keys: str) -> bytes:
    return Sealer(parse_sealing_keys(keys), random_bytes=os.urandom).open(name, value)


class ApplyTests:
    def test_all_is_applied_and_exported_without_ciphertext(self, run: Run, sql: Any) -> None:
        """An export applies to itself, and to an empty database only with the value."""
        text = yaml.safe_dump(CONFIGURATION)
        result = run("apply", "-", stdin=text)
        assert (result.exit_code, "AAAA" in result.output) == (0, False), result.output
        assert run("diff", "-", stdin=text).exit_code == 0
        for arguments in ((), ("--full",)):
            exported = run("export", *arguments)
            assert "AAAA" not in exported.output
            assert "the values of 1 encrypted secrets stay in the database (shop-key)" in (
                exported.stderr
            )
            written = yaml.safe_load(exported.stdout)
            assert written["secrets"][0]["value"] == "env:OTHER_KEY"
            assert "value" not in written["secrets"][1]
            assert "  chain: |\n    -----BEGIN CERTIFICATE-----\n" in exported.stdout
            assert run("diff", "-", stdin=exported.stdout).exit_code == 0
            assert run("apply", "-", stdin=exported.stdout).stdout == "nothing to change\n"
        sql("TRUNCATE fengling.secret, fengling.service CASCADE")
        refused = run("apply", "-", stdin=exported.stdout)
        assert refused.exit_code == 2
        assert "secret shop-key: value" in " ".join(refused.output.split())

    def test_difference_shows_references_and_no_ciphertext(self, run: Run, sql: Any) -> None:
        """In tables and documents alike; of what is encrypted, that it is another."""
        run("apply", "-", stdin=yaml.safe_dump(CONFIGURATION))
        other = yaml.safe_dump(
            {"secrets": {"shop-key": {"value": SEALED[:-4] + "BBBB"}, "other": {"value": "env:B"}}}
        )
        shown = run("diff", "-", stdin=other)
        assert shown.exit_code == 1
        assert '"env:OTHER_KEY" → "env:B"' in shown.stdout
        assert shown.stdout.count("(encrypted, ") == 2
        changes = document(run("diff", "-", "-o", "json", stdin=other))["changes"]
        assert changes[0]["fields"] == {"value": ["env:OTHER_KEY", "env:B"]}
        assert "AAAA" not in f"{shown.output} {changes}"
        run("apply", "-", stdin=other)
        assert sql("SELECT value FROM fengling.secret ORDER BY id") == [
            ("env:B",),
            (SEALED[:-4] + "BBBB",),
        ]

    def test_plain_text_is_not_repeated(self, run: Run, tmp_path: Path) -> None:
        """Wherever in a file it stands."""
        for text in (
            "secrets: {k: {value: hunter2-hunter2}}",
            "secrets: {k: hunter2-hunter2}",
            "secrets: hunter2-hunter2",
            "secrets: [hunter2-hunter2]",
            "secrets: [{id: k, value: {hunter2-hunter2: 1}}]",
        ):
            result = run("validate", "-", stdin=text)
            assert result.exit_code in (1, 2), text
            assert "hunter2" not in result.output, text

    def test_export_validates_without_a_database(self, run: Run, sql: Any) -> None:
        """With a note of what it can't know."""
        run("apply", "-", stdin=yaml.safe_dump(CONFIGURATION))
        result = run("validate", "-", stdin=run("export").stdout)
        assert (result.exit_code, "4 valid" in result.stdout) == (0, True), result.output
        assert "1 secrets have no value here (shop-key…)" in result.stderr

    def test_wrong_certificate_is_named_with_its_line(self, run: Run) -> None:
        """And what is wrong with it."""
        text = yaml.safe_dump({"certificates": {"c": {"chain": SHOP.key, "key_secret": "k"}}})
        result = run("validate", "-", "-o", "json", stdin=text)
        (rejected,) = document(result)["rejected"]
        assert rejected["where"] == "-:2"
        assert [one["code"] for one in rejected["problems"]] == [
            "bad_certificate",
            "missing_reference",
        ]


class SecretTests:
    def test_content_is_encrypted_and_written(
        self, run: Run, sql: Any, keys: Path, tmp_path: Path
    ) -> None:
        """Byte for byte; a second time it is replaced, and its name stays."""
        file = tmp_path / "shop.key"
        file.write_bytes(SHOP.key.encode())
        result = run(
            "secret", "set", "shop-key", "--from-file", str(file), "--name", "x", "-m", "new"
        )
        assert result.stdout == "revision 1: secret shop-key is encrypted with 2025\n"
        ((value, name),) = sql("SELECT value, name FROM fengling.secret")
        assert (opened(value, "shop-key", OLD), name) == (SHOP.key.encode(), "x")
        assert sql("SELECT comment FROM fengling.revision WHERE id = 1") == [("new",)]
        run("secret", "set", "shop-key", "--stdin", stdin="a single line\n")
        ((value, name),) = sql("SELECT value, name FROM fengling.secret")
        assert (opened(value, "shop-key", OLD), name) == (b"a single line", "x")

    def test_rotation_encrypts_all_with_the_first_key(self, run: Run, sql: Any, keys: Path) -> None:
        """In one revision; references stay, and so does what has the new key already."""
        for name in ("a", "b"):
            run("secret", "set", name, "--stdin", stdin=f"of {name}")
        sql("INSERT INTO fengling.secret (id, value) VALUES ('r', 'env:R')")
        keys.write_text(f"{NEW}\n{OLD}\n")
        run("secret", "set", "c", "--stdin", stdin="of c")
        result = run("secret", "rotate")
        assert result.stdout == "revision 5: 2 secrets are encrypted with 2026 now, 2 as before\n"
        values = dict(sql("SELECT id, value FROM fengling.secret"))
        assert values.pop("r") == "env:R"
        assert {name: opened(value, name, NEW) for name, value in values.items()} == {
            name: f"of {name}".encode() for name in "abc"
        }
        assert run("secret", "rotate").stdout == (
            "0 secrets are encrypted with 2026 now, 4 as before\n"
        )

    def test_rotation_without_the_old_key_changes_nothing(
        self, run: Run, sql: Any, keys: Path
    ) -> None:
        """It names the secret and the key."""
        run("secret", "set", "a", "--stdin", stdin="of a")
        keys.write_text(NEW)
        result = run("secret", "rotate")
        assert result.exit_code == 2
        assert 'secret a is encrypted with key "2025", which is not here' in result.stderr

    def test_what_is_missing_is_named(self, run: Run, sql: Any, keys: Path, tmp_path: Path) -> None:
        """Before anything is written."""
        for arguments, why in (
            (("set", "k"), "use either --from-file or --stdin"),
            (("set", "k", "--from-file", "/gone"), "/gone: No such file or directory"),
            (("set", "a b", "--from-file", __file__), "has 1 to 100 letters"),
            (("rotate", "--key-file", "/gone"), "can't be read from /gone"),
            (("set", "k", "--stdin"), "there is nothing to encrypt"),
        ):
            result = run("secret", *arguments, stdin="")
            assert result.exit_code == 2
            assert why in " ".join(result.output.split())
        keys.chmod(0o644)
        assert "has mode 0644" in run("secret", "set", "k", "--stdin", stdin="x").output
        assert sql("SELECT count(*) FROM fengling.secret") == [(0,)]

    def test_settings_file_names_the_keys(
        self, run: Run, sql: Any, keys: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The one of a gateway on this host."""
        monkeypatch.delenv("FENGLING_SECRETS__KEY_FILE")
        assert "no keys: use --key-file" in run("secret", "rotate").output
        settings = keys.with_name("gateway.toml")
        settings.write_text(
            'source = "file"\n[file]\npath = "x"\n[management]\nenabled = false\n'
            f'[secrets]\nkey_file = "{keys.name}"\n'
        )
        result = run("secret", "set", "k", "--stdin", "--config", str(settings), stdin="x")
        assert result.stdout == "revision 1: secret k is encrypted with 2025\n"

    def test_secret_does_not_change_while_a_revision_is_held(
        self, run: Run, sql: Any, keys: Path
    ) -> None:
        """The database says why, and what to do."""
        run("secret", "set", "k", "--stdin", stdin="x")
        sql("INSERT INTO fengling.route (id, respond) VALUES ('r', '{}')")
        sql("DELETE FROM fengling.route")
        result = run("secret", "set", "k", "--stdin", stdin="y")
        assert result.exit_code == 2
        assert "confirm or undo revision 3 first" in " ".join(result.output.split())


class GetTests:
    def test_lists_are_tables(self, run: Run, gateway: StubGateway) -> None:
        """With what one looks for: names, and until when."""
        certificates = [
            {
                "id": "shop",
                "names": ["shop.example"],
                "not_after": 2398291200,
                "key_secret": "shop-key",
                "enabled": True,
            }
        ]
        secrets = [{"id": "shop-key", "name": "", "reference": None, "key": "2026-11"}]
        for name, items in (("certificates", certificates), ("secrets", secrets)):
            gateway.answers["GET", name] = 200, {"items": items, "next": None}
        assert "2045-12-31" in run("get", "certificates").stdout
        assert "2026-11" in run("get", "secrets").stdout
