"""Issuers, clients and API keys by ``fenglingctl``: like any other entity, and no digest is shown."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Run, document
from tests.cli.stub_gateway import StubGateway
from tests.support.forge import ec_jwk

OLD, NEW = (sha256(one).hexdigest() for one in (b"fgk_batch-1_old", b"fgk_batch-1_new"))

CONFIGURATION: dict[str, Any] = {
    "tenants": [{"id": "acme"}],
    "issuers": {
        "corp": {
            "issuer": "https://id.example/realms/corp",
            "audiences": ["orders"],
            "discovery": True,
            "claims": {"roles": "/realm_access/roles"},
            "max_lifetime": "1d",
            "leeway": "10s",
        },
        "own": {"issuer": "own", "audiences": ["orders"], "keys": {"keys": [ec_jwk(kid="e1")]},
                "algorithms": ["ES256"]},
    },
    "clients": {"batch": {"tenant_id": "acme", "scopes": ["orders.read"]}},
    "api_keys": {
        "batch-1": {"client_id": "batch", "digest": OLD, "expires_at": "2036-01-01T00:00:00Z"}
    },
}  # fmt: skip
TEXT = yaml.safe_dump(CONFIGURATION)


class ApplyTests:
    def test_all_is_applied_exported_and_applied_again(self, run: Run, sql: Any) -> None:
        """As it was written: what is as by default is not."""
        result = run("apply", "-", stdin=TEXT)
        assert "revision 1 (5 changes)" in result.stdout, result.output
        assert run("diff", "-", stdin=TEXT).exit_code == 0
        assert sql(
            "SELECT leeway::text, max_lifetime::text, refresh::text FROM fengling.issuer"
        ) == [
            ("00:00:10", "24:00:00", "00:10:00"),
            ("00:00:30", None, "00:10:00"),
        ]
        exported = run("export").stdout
        assert yaml.safe_load(exported)["issuers"][0] == {
            "id": "corp",
            **CONFIGURATION["issuers"]["corp"],
        }
        assert run("apply", "-", stdin=exported).stdout == "nothing to change\n"
        sql("TRUNCATE fengling.issuer, fengling.tenant CASCADE")
        assert run("apply", "-", stdin=exported).exit_code == 0
        assert run("export").stdout == exported
        assert run("diff", "-", stdin=run("export", "--full").stdout).exit_code == 0

    def test_difference_shows_fingerprints_of_keys(self, run: Run, sql: Any) -> None:
        """In tables and documents alike."""
        run("apply", "-", stdin=TEXT)
        other = TEXT.replace(OLD, NEW)
        shown = run("diff", "-", stdin=other)
        assert f'digest: "({OLD[:12]})" → "({NEW[:12]})"' in shown.stdout
        [change] = document(run("diff", "-", "-o", "json", stdin=other))["changes"]
        assert change["fields"] == {"digest": [f"({OLD[:12]})", f"({NEW[:12]})"]}
        created = document(run("diff", "-", "-o", "json", stdin=other.replace("batch-1", "b2")))
        assert NEW not in str(created)
        assert NEW[:12] in str(created)

    @pytest.mark.parametrize(
        "text",
        [
            "api_keys: {k: {client_id: c, digest: fgk_k_hunter2}}",
            "api_keys: {k: fgk_k_hunter2}",
            "api_keys: fgk_k_hunter2",
            "api_keys: [fgk_k_hunter2]",
            "api_keys: {k: {client_id: c, digest: {fgk_k_hunter2: 1}}}",
        ],
    )
    def test_key_in_place_of_its_digest_is_not_repeated(self, run: Run, text: str) -> None:
        """Wherever in a file it stands."""
        result = run("validate", "-", stdin=text)
        assert result.exit_code in (1, 2)
        assert "hunter2" not in result.output

    @pytest.mark.parametrize("kind", ["issuers", "clients", "api_keys"])
    def test_wrong_one_is_named_with_its_line(self, run: Run, kind: str) -> None:
        """Like anything else."""
        text = f"# a comment\n{kind}:\n  x:\n    enabled: 5\n    scops: []\n"
        [rejected] = document(run("validate", "-", "-o", "json", stdin=text))["rejected"]
        assert (rejected["where"], rejected["serving"]) == ("-:3", "nothing")
        assert {one["code"] for one in rejected["problems"]} >= {"source", "wrong_type"}


class GetTests:
    def test_lists_are_tables(self, run: Run, gateway: StubGateway) -> None:
        """With what one looks for: whose, where keys come from, and until when."""
        lists: dict[str, list[dict[str, Any]]] = {
            "issuers": [
                {"id": "a", "issuer": "https://id.example", "audiences": ["x"], "discovery": True},
                {"id": "b", "issuer": "b", "audiences": ["x"], "key_secret": "shared"},
                {"id": "c", "issuer": "c", "audiences": ["x"], "keys": {"keys": [{}, {}]}},
                {"id": "d", "issuer": "d", "audiences": ["x"], "jwks_url": "https://d.example/k"},
            ],
            "clients": [{"id": "batch", "roles": ["writer"], "scopes": [], "enabled": False}],
            "api_keys": [
                {"id": "k", "client_id": "batch", "fingerprint": OLD[:12], "expires_at": 2398291200}
            ],
        }
        for name, items in lists.items():
            gateway.answers["GET", name] = 200, {"items": items, "next": None}
        issuers = run("get", "issuers").stdout
        for words in ("discovery", "secret shared", "2 of its own", "https://d.example/k"):
            assert words in issuers
        assert "writer" in run("get", "clients").stdout
        assert OLD[:12] in run("get", "api_keys").stdout
        assert "2045-12-31" in run("get", "api_keys").stdout
