"""``fenglingctl key``: shown once, kept as a digest, revoked by id."""

from __future__ import annotations

import re
import time
from hashlib import sha256
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.configsource.file_entities import parse_entities
from fengling_gateway.model.clients import make_key, split_key
from fengling_gateway.model.entity import Key
from fengling_gateway.model.validation import Accepted, validate
from tests.cli.conftest import Run, Sql, document

MADE = ("key", "create", "batch-1", "--client", "batch")
NEW = ("--new-client", "--scope", "orders.read", "--scope", "orders.read", "--role", "reader")


def kept(sql: Sql) -> list[tuple[Any, ...]]:
    return sql("SELECT id, client_id, digest, enabled, name FROM fengling.api_key ORDER BY id")


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True),
    st.binary(min_size=32, max_size=32),
)
def test_any_key_is_taken_apart_again(key_id: str, secret: bytes) -> None:
    """Whatever its id is: also one that looks like another key."""
    key, digest = make_key(key_id, lambda count: secret[:count])
    assert split_key(key.encode()) == (key_id, digest)
    assert digest == sha256(key.encode()).hexdigest()
    assert len(key) == len(f"fgk_{key_id}_") + 43


class CreateTests:
    def test_key_is_shown_once_and_its_digest_kept(self, run: Run, sql: Sql) -> None:
        """On stdout it stands alone; the client is made along with it, in one revision."""
        sql("INSERT INTO fengling.tenant (id) VALUES ('acme')")
        result = run(*MADE, *NEW, "--tenant", "acme", "--name", "of the batch", "-m", "why")
        assert result.exit_code == 0, result.output
        key = result.stdout.removesuffix("\n")
        assert re.fullmatch(r"fgk_batch-1_[A-Za-z0-9_-]{43}", key)
        assert result.output.count(key) == 1
        assert "revision 2: key batch-1 lets batch in until " in result.stderr
        digest = sha256(key.encode()).hexdigest()
        assert kept(sql) == [("batch-1", "batch", digest, True, "of the batch")]
        assert sql("SELECT tenant_id, roles, scopes FROM fengling.client") == [
            ("acme", ["reader"], ["orders.read"])
        ]
        [(ends,)] = sql("SELECT extract(epoch FROM expires_at)::float8 FROM fengling.api_key")
        assert 0 <= time.time() + 365 * 86400 - ends < 600
        everything = sql("SELECT (SELECT string_agg(c::text, '') FROM fengling.revision_change AS c),"
                         " (SELECT string_agg(r::text, '') FROM fengling.revision AS r)")  # fmt: skip
        assert key[-43:] not in str(everything)
        assert run("key", "list").output.count(key[-43:]) == 0

    def test_no_two_keys_are_alike(self, run: Run, sql: Sql) -> None:
        """Named after their client where they have no name of their own."""
        keys = {run("key", "create", "--client", "batch", *NEW).stdout}
        keys |= {run("key", "create", "--client", "batch").stdout for _ in range(2)}
        assert len({key[-44:] for key in keys}) == 3
        assert all(re.fullmatch(r"batch-[0-9a-f]{6}", row[0]) for row in kept(sql))

    def test_lifetime_is_chosen(self, run: Run, sql: Sql) -> None:
        """Or there is none."""
        run(*MADE, *NEW, "--for", "12h")
        run("key", "create", "b", "--client", "batch", "--for", "never")
        found = dict(sql("SELECT id, extract(epoch FROM expires_at)::float8 FROM fengling.api_key"))
        assert 0 <= time.time() + 43200 - found["batch-1"] < 600
        assert found["b"] is None

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (MADE, "there is no client batch; --new-client makes it"),
            ((*MADE, "--scope", "x"), "they need --new-client"),
            ((*MADE, *NEW, "--scope", "a b"), "client batch: scopes[0]: must be 1 to 200 visible"),
            ((*MADE, *NEW, "--for", "soon"), "is written like 90d or 12h, or never"),
            ((*MADE, *NEW, "--for", "0s"), "is written like 90d or 12h, or never"),
            ((*MADE, *NEW, "--tenant", "gone"), "the database refuses"),
            (("key", "create", "a b", "--client", "batch", *NEW), "has 1 to 100 letters"),
            (("key", "create", "--client", "a b", *NEW), "has 1 to 100 letters"),
            ((*MADE, *NEW, "--yaml", "--database", "x"), "use either --yaml or --database"),
        ],
    )
    def test_what_is_wrong_makes_no_key(
        self, run: Run, sql: Sql, arguments: tuple[str, ...], why: str
    ) -> None:
        """Nor shows one."""
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert why in " ".join(result.stderr.split())
        assert "fgk_" not in result.output
        assert kept(sql) == []

    def test_key_is_never_replaced(self, run: Run, sql: Sql) -> None:
        """Nor is a client made twice."""
        run(*MADE, *NEW)
        before = kept(sql)
        for arguments, why in (
            (MADE, "there is a key batch-1 already"),
            (("key", "create", "b", "--client", "batch", *NEW), "leave out --new-client"),
        ):
            result = run(*arguments)
            assert (result.exit_code, result.stdout) == (2, "")
            assert why in " ".join(result.stderr.split())
        assert kept(sql) == before

    def test_key_of_a_disabled_client_is_told_of(self, run: Run, sql: Sql) -> None:
        """It is made, and does not work."""
        sql("INSERT INTO fengling.client (id, enabled) VALUES ('batch', false)")
        result = run(*MADE)
        assert result.stdout.startswith("fgk_batch-1_")
        assert "client batch is disabled" in result.stderr
        [listed] = document(run("key", "list", "-o", "json"))
        assert listed["state"] == "client disabled"

    def test_for_a_file_it_is_printed_to_paste(self, run: Run) -> None:
        """No database is asked; the key itself is not in what goes into the file."""
        result = run(*MADE, *NEW, "--yaml", "--name", "1e5")
        assert result.exit_code == 0, result.output
        key = result.stdout.strip()
        assert key not in result.stderr
        rows = parse_entities(result.stderr.encode()).rows
        assert set(rows) == {Key("client", "batch"), Key("api_key", "batch-1")}
        for one, row in rows.items():
            assert isinstance(validate(one, row), Accepted), row
        assert rows[Key("api_key", "batch-1")]["digest"] == sha256(key.encode()).hexdigest()
        assert rows[Key("api_key", "batch-1")]["name"] == "1e5"
        alone = yaml.safe_load(run(*MADE, "--yaml", "--for", "never").stderr)
        assert [list(one) for one in alone["api_keys"]] == [["id", "client_id", "digest"]]
        assert alone.keys() == {"api_keys"}


class ListTests:
    def test_states_are_told(self, run: Run, sql: Sql) -> None:
        """With fingerprints, which whoever has a key can compute, and no digests."""
        key = run(*MADE, *NEW).stdout.strip()
        sql("INSERT INTO fengling.client (id) VALUES ('other')")
        sql(
            "INSERT INTO fengling.api_key (id, client_id, digest, enabled, expires_at) VALUES"
            " ('b', 'other', repeat('ab', 32), true, '2020-01-01Z'),"
            " ('c', 'other', repeat('cd', 32), false, NULL)"
        )
        digest = sha256(key.encode()).hexdigest()
        listed = document(run("key", "list", "-o", "json"))
        assert [(one["id"], one["fingerprint"], one["state"]) for one in listed] == [
            ("b", "abababababab", "expired"),
            ("batch-1", digest[:12], "lets in"),
            ("c", "cdcdcdcdcdcd", "revoked"),
        ]
        assert digest not in str(listed)
        table = run("key", "list", "--client", "other").stdout
        assert "2020-01-01 00:00:00Z" in table
        assert "batch" not in table
        assert run("key", "list", "--client", "nobody").stdout == "no keys\n"


class RevokeTests:
    def test_keys_are_revoked_by_id(self, run: Run, sql: Sql) -> None:
        """Several in one revision; a second time there is nothing to do."""
        run(*MADE, *NEW)
        run("key", "create", "b", "--client", "batch")
        result = run("key", "revoke", "batch-1", "b", "-m", "leaked")
        assert result.stdout == "revision 3: 2 revoked\n"
        assert [row[3] for row in kept(sql)] == [False, False]
        assert sql("SELECT comment FROM fengling.revision WHERE id = 3") == [("leaked",)]
        assert run("key", "revoke", "b").stdout == "nothing to change: revoked before\n"
        run("key", "create", "c", "--client", "batch")
        assert run("key", "revoke", "b", "c").stdout == "revision 5: 1 revoked, 1 had been before\n"

    def test_found_keys_are_revoked_as_they_are(self, run: Run, sql: Sql) -> None:
        """From stdin, so that they are in no history of a shell."""
        keys = [run(*MADE, *NEW).stdout, run("key", "create", "--client", "batch").stdout]
        result = run("key", "revoke", "-", stdin="".join(keys))
        assert result.stdout == "revision 3: 2 revoked\n"
        assert [row[3] for row in kept(sql)] == [False, False]
        assert keys[0].strip() not in result.output

    def test_unknown_key_is_an_error_and_nothing_is_revoked(self, run: Run, sql: Sql) -> None:
        """A typing error must not pass for a revocation."""
        run(*MADE, *NEW)
        result = run("key", "revoke", "batch-1", "batch-l")
        assert result.exit_code == 2
        assert "nothing is revoked: there is no key batch-l" in result.stderr
        assert [row[3] for row in kept(sql)] == [True]

    def test_revocation_behind_a_held_revision_is_no_success(self, run: Run, sql: Sql) -> None:
        """What is held keeps it from being served, which one has to know."""
        run(*MADE, *NEW)
        sql("INSERT INTO fengling.route (id, respond) VALUES ('r', '{}')")
        sql("DELETE FROM fengling.route")
        result = run("key", "revoke", "batch-1")
        assert (result.exit_code, result.stdout) == (1, "revision 4: 1 revoked\n")
        assert "confirm with fengling.confirm(3)" in result.stderr
        assert "what is revoked still lets in until then" in result.stderr
