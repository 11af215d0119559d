"""``fenglingctl support-bundle``: everything there is, and what there is not is named."""

from __future__ import annotations

import json
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fengling_gateway.doctor.redaction import Redaction
from tests.integration.conftest import Sql
from tests.integration.ctl import Ctl
from tests.integration.gateway import SYNC_KEY, TOKEN_KEY, GatewayProcess, admin_token
from tests.support.wait import wait_until

EVERYTHING = {
    *("configuration.yaml", "debug.json", "doctor.json", "errors.json", "gateway.log"),
    *("manifest.json", "metrics.txt", "names.json", "openapi.json", "readyz.json"),
    *("rejected.json", "revisions.json", "routes.json", "settings.json", "status.json"),
    *("versions.json", "workers.json"),
}


def unpacked(file: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(file) as bundle:
        for member in bundle.getmembers():
            content = bundle.extractfile(member)
            assert content is not None
            folder, _, name = member.name.partition("/")
            assert folder == file.name.removesuffix(".tar.gz")
            found[name] = content.read()
    return found


def read(content: bytes) -> Any:
    return json.loads(content)


class SupportBundleTests:
    """A file for whoever is to help."""

    def test_bundle_of_a_running_gateway_has_all_parts(
        self, gateways: Callable[..., GatewayProcess], sql: Sql, tmp_path: Path
    ) -> None:
        """For its owner alone, and with no key in it."""
        sql.add_service("v1", "http://192.0.2.1:1")
        gateway = gateways(database=sql.dsn)
        gateway.wait_ready()
        gateway.fetch("/nowhere?token=hush")
        wait_until(lambda: gateway.manage("errors")["items"])
        log = gateway.directory / "gateway.log"
        with log.open("a") as more:
            more.write(f"somebody has put a key here: {TOKEN_KEY}\n")
        file = tmp_path / "help.tar.gz"
        done = Ctl({"FENGLING_TOKEN": admin_token()})(
            *("support-bundle", str(file), "--config", str(gateway.directory / "gateway.toml")),
            *("--management", f"http://127.0.0.1:{gateway.management_port}", "--log", str(log)),
        )
        assert done.status == 0, done.err
        assert done.err == ""
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        parts = unpacked(file)
        assert parts.keys() == EVERYTHING
        assert read(parts["manifest.json"])["missing"] == {}
        assert read(parts["status.json"])["node"] == gateway.node
        [failed] = read(parts["errors.json"])["items"]
        assert (failed["error"], failed["target"]) == ("no_route", "/nowhere?token=REDACTED")
        assert read(parts["routes.json"])["node"] == gateway.node
        assert b"v1" in parts["configuration.yaml"]
        assert [one["id"] for one in read(parts["revisions.json"])] == [2, 1, 0]
        assert read(parts["settings.json"])["management"]["token_keys"] == ["k1:***"]
        assert b"fengling_" in parts["metrics.txt"]
        assert "twisted" in read(parts["versions.json"])["packages"]
        assert b"somebody has put a key here: k1:***" in parts["gateway.log"]
        for content in parts.values():
            for key in (TOKEN_KEY, SYNC_KEY):
                assert key.partition(":")[2].encode() not in content

    def test_what_can_not_be_had_is_named(self, fresh_database: str, tmp_path: Path) -> None:
        """No schema, no gateway and no log: what is left is still worth sending."""
        file = tmp_path / "help.tar.gz"
        done = Ctl({"PATH": "/nonexistent"})(
            "support-bundle", str(file), "--database", fresh_database
        )
        assert done.status == 0, done.err
        parts = unpacked(file)
        assert parts.keys() == {"doctor.json", "manifest.json", "versions.json"}
        missing = read(parts["manifest.json"])["missing"]
        assert missing.keys() == {"configuration.yaml", "revisions.json", "gateway.log"}
        assert "no fengling schema" in missing["configuration.yaml"]
        assert "without gateway.log: this host has no journal" in done.err

    def test_file_that_is_there_stays(self, fresh_database: str, tmp_path: Path) -> None:
        file = tmp_path / "help.tar.gz"
        file.write_text("mine")
        done = Ctl()("support-bundle", str(file), "--database", fresh_database)
        assert done.status == 2
        assert "is there already" in done.err
        assert file.read_text() == "mine"


def test_redaction_finds_secrets_as_they_are_and_in_urls() -> None:
    """Short ones are left: they would be found within words."""
    redacted = Redaction(["p@ss word", "abc", ""])
    assert redacted(b"p@ss word p%40ss%20word abc") == b"*** *** abc"
