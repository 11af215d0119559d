"""Issuers, clients and API keys in the database: what is refused, logged and taken back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from psycopg2 import errors

from fengling_gateway.model.entity import Key
from fengling_gateway.model.policies import POLICIES
from fengling_gateway.model.validation import Accepted, validate
from tests.schema.session import Cast, Session, add_service, changes, revisions
from tests.support.forge import ec_jwk, rsa_jwk
from tests.support.wait import wait_until

DIGEST, OTHER = "ab" * 32, "cd" * 32


def add_issuer(session: Session, name: str, iss: str) -> None:
    session.rows(
        "INSERT INTO fengling.issuer (id, issuer, audiences, jwks_url)"
        " VALUES (%s, %s, '{api}', 'https://id.example/keys') RETURNING 1",
        *(name, iss),
    )


def add_key(session: Session, name: str = "k", client: str = "c") -> None:
    session.run(
        f"INSERT INTO fengling.client (id) VALUES ('{client}') ON CONFLICT DO NOTHING",
        f"INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('{name}', '{client}', '{DIGEST}')",
    )


def key_of(session: Session, name: str = "k") -> tuple[Any, ...]:
    [row] = session.rows(
        "SELECT enabled, digest, expires_at::text FROM fengling.api_key WHERE id = %s", name
    )
    return row


def told(session: Session) -> str:
    """Return what psql has shown since it was last asked."""
    shown = "\n".join(session.notices)
    del session.connection.notices[:]
    return shown


class RevisionTests:
    def test_changes_are_logged_and_announced_as_of_the_gateway(self, session: Session) -> None:
        """There is no such event in the contract with other consoles."""
        session.listen()
        session.run("BEGIN")
        session.run(f"INSERT INTO fengling.api_key VALUES ('k', '', true, 'c', '{DIGEST}')")
        session.run("INSERT INTO fengling.client (id) VALUES ('c')")  # after its key
        add_issuer(session, "corp", "https://id.example")
        session.run("COMMIT")
        assert changes(session) == [
            ("api_key", "k", "create"),
            ("client", "c", "create"),
            ("issuer", "corp", "create"),
        ]
        session.run("UPDATE fengling.api_key SET enabled = false")
        session.run("UPDATE fengling.api_key SET enabled = false")
        session.run("UPDATE fengling.issuer SET leeway = '5 s'")
        session.run("DELETE FROM fengling.api_key")
        session.run("TRUNCATE fengling.client CASCADE")
        events = [json.loads(one) for one in session.notifications()]
        assert [one["eventType"] for one in events] == ["gateway"] * 5
        assert [one["details"].get("entity") for one in events[1:]] == [
            *("api_key", "issuer", "api_key", "client")
        ]
        assert revisions(session) == [1, 2, 3, 4, 5]

    def test_ids_stay(self, session: Session) -> None:
        """As of all entities."""
        add_key(session)
        for table in ("client", "api_key"):
            with pytest.raises(errors.Error, match="id"):
                session.run(f"UPDATE fengling.{table} SET id = 'other'")


class RefusalTests:
    def test_two_issuers_of_one_name_are_refused_by_both_their_names(
        self, session: Session
    ) -> None:
        """Whoever comes second, and however."""
        add_issuer(session, "corp", "https://id.example")
        add_issuer(session, "acme", "https://id.example/acme")
        why = 'issuers "corp" and "new" would be one to tokens: both say iss "https://id.example"'
        with pytest.raises(errors.UniqueViolation) as caught:
            add_issuer(session, "new", "https://id.example")
        assert why in str(caught.value)
        assert 'change "corp", or delete it first' in str(caught.value)
        with pytest.raises(errors.UniqueViolation, match='issuers "corp" and "acme"'):
            session.run("UPDATE fengling.issuer SET issuer = 'https://id.example'")
        with pytest.raises(errors.UniqueViolation, match='issuers "a" and "b"'):
            session.run(
                "INSERT INTO fengling.issuer (id, issuer, audiences, discovery) VALUES"
                " ('a', 'https://x.example', '{x}', true), ('b', 'https://x.example', '{x}', true)"
            )
        # In place of one that goes; and one that is written again as it is.
        session.run("BEGIN", "DELETE FROM fengling.issuer WHERE id = 'corp'")
        add_issuer(session, "new", "https://id.example")
        session.run("COMMIT", "UPDATE fengling.issuer SET issuer = issuer, name = 'x'")

    def test_two_at_the_same_time_are_refused(self, sessions: Callable[[], Session]) -> None:
        """The index sees what the other one has not committed."""
        first, second, third = sessions(), sessions(), sessions()
        first.run("BEGIN")
        add_issuer(first, "a", "https://id.example")
        refused: list[Exception] = []

        def add() -> None:
            try:
                add_issuer(second, "b", "https://id.example")
            except errors.UniqueViolation as error:
                refused.append(error)

        thread = threading.Thread(target=add)
        thread.start()
        wait_until(
            lambda: third.value(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'"
                " AND datname = current_database()"
            )
        )
        first.run("COMMIT")
        thread.join(10)
        assert "one issuer for each iss" in str(refused[0])

    @pytest.mark.parametrize(
        ("values", "why"),
        [
            ({"issuer": "a b"}, "issuer has 1 to 500 visible"),
            ({"issuer": "x" * 501}, "issuer has 1 to 500 visible"),
            ({"audiences": []}, "audiences names at least one"),
            ({"algorithms": ["none"]}, "algorithms are known ones"),
            ({"algorithms": ["HS256"]}, "HS algorithms and key_secret go together"),
            ({"algorithms": ["RS256", "HS256"]}, "HS algorithms and key_secret go together"),
            ({"jwks_url": None}, "keys come from one of"),
            ({"discovery": True}, "keys come from one of"),
            ({"jwks_url": "http://id.example/k"}, "jwks_url is https"),
            ({"jwks_url": "file:///etc/passwd"}, "jwks_url is https"),
            ({"jwks_url": None, "keys": {}}, "keys is no key set"),
            ({"jwks_url": None, "keys": {"keys": [{"kty": "oct", "k": "hunter2"}]}},
             "keys holds a private key or a secret"),
            ({"jwks_url": None, "keys": {"keys": [ec_jwk(d="hunter2")]}},
             "keys holds a private key or a secret"),
            ({"jwks_url": None, "keys": {"keys": [rsa_jwk(p="hunter2")]}},
             "keys holds a private key or a secret"),
            ({"refresh": "1 s"}, "refresh is from 30 s"),
            ({"leeway": "31 s"}, "leeway is at most 30 s"),
            ({"leeway": "-1 s"}, "leeway is at most 30 s"),
            ({"max_lifetime": "0 s"}, "max_lifetime is from a second"),
            ({"claims": {"role": "x"}}, 'unknown key "role" in claims'),
            ({"headers": {"X-A": "a\r\nb"}}, "headers contains a control character"),
        ],
    )  # fmt: skip
    def test_issuer_that_makes_no_sense_is_refused_early(
        self, session: Session, values: dict[str, Any], why: str
    ) -> None:
        """As validation does, in a word; and no secret is shown or stays in the log."""
        row = {"issuer": "https://id.example", "audiences": ["api"],
               "jwks_url": "https://id.example/k", **values}  # fmt: skip
        with pytest.raises(errors.CheckViolation) as caught:
            session.rows(
                "INSERT INTO fengling.issuer (id, issuer, audiences, algorithms, jwks_url, keys,"
                " discovery, refresh, leeway, max_lifetime, claims, headers)"
                " SELECT 'x', issuer, audiences, coalesce(algorithms, '{RS256}'), jwks_url, keys,"
                " coalesce(discovery, false), coalesce(refresh, '10 min'), coalesce(leeway, '0'),"
                " max_lifetime, coalesce(claims, '{}'), coalesce(headers, '{}')"
                " FROM jsonb_populate_record(NULL::fengling.issuer, %s) RETURNING 1",
                json.dumps(row),
            )
        assert why in str(caught.value)
        assert not isinstance(validate(Key("issuer", "x"), row), Accepted)
        if "holds a private key" in why:
            assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize(
        "digest",
        ["fgk_k_hunter2", DIGEST.upper(), DIGEST[:-1], f"{DIGEST}0", "", f"{DIGEST[:-1]}g"],
    )
    def test_what_is_no_digest_is_refused_and_not_repeated(
        self, session: Session, digest: str
    ) -> None:
        """It may be the key itself."""
        session.run("INSERT INTO fengling.client (id) VALUES ('c')")
        with pytest.raises(errors.CheckViolation) as caught:
            session.rows(
                "INSERT INTO fengling.api_key (id, client_id, digest) VALUES ('k', 'c', %s)"
                " RETURNING 1",
                digest,
            )
        assert "digest is not the SHA-256 of a key" in str(caught.value)
        assert "Failing row" not in str(caught.value)
        assert "hunter2" not in str(caught.value)
        row = {"client_id": "c", "digest": digest}
        assert not isinstance(validate(Key("api_key", "k"), row), Accepted)

    @pytest.mark.parametrize(
        "words", [["a b"], [""], ['"'], ["\\"], ["ü"], ["x" * 201], ["x"] * 201]
    )
    def test_odd_scopes_and_roles_are_refused(self, session: Session, words: list[str]) -> None:
        """By the database and by validation."""
        for name in ("scopes", "roles"):
            with pytest.raises(errors.CheckViolation, match=name):
                session.rows(
                    f"INSERT INTO fengling.client (id, {name}) VALUES ('c', %s) RETURNING 1", words
                )
            assert not isinstance(validate(Key("client", "c"), {name: words}), Accepted)

    def test_client_with_keys_stays(self, session: Session) -> None:
        """At COMMIT, so that both may go, or come, in any order."""
        add_key(session)
        with pytest.raises(errors.ForeignKeyViolation, match="client_id of an API key"):
            session.run("DELETE FROM fengling.client")
        session.run(
            "BEGIN", "DELETE FROM fengling.client", "DELETE FROM fengling.api_key", "COMMIT"
        )


class PolicyTests:
    def test_every_policy_is_known_to_the_database(self, session: Session) -> None:
        """Else nobody could write it by SQL."""
        add_service(session, "s")
        for name in POLICIES:
            session.rows(
                "UPDATE fengling.service SET policies = %s RETURNING 1", json.dumps({name: None})
            )

    def test_ejection_is_no_policy_of_routes(self, session: Session) -> None:
        """They have no instances; services and the setting have it."""
        add_service(session, "s")
        session.rows("INSERT INTO fengling.route (id, service_id) VALUES ('r', 's') RETURNING 1")
        with pytest.raises(errors.CheckViolation, match="and not of routes"):
            session.rows("UPDATE fengling.route SET policies = '{\"ejection\": null}' RETURNING 1")
        session.rows(
            "INSERT INTO fengling.setting VALUES ('defaults', '{\"ejection\": null}') RETURNING 1"
        )

    @pytest.mark.parametrize(
        ("policy", "why"),
        [
            ({"mod": "required"}, 'unknown key "mod" in policy "auth"'),
            ({}, 'the mode of policy "auth" is null'),
            ({"mode": None}, 'the mode of policy "auth" is null'),
            ({"mode": "require"}, 'the mode of policy "auth" is "require"'),
            ("required", 'policy "auth" is a JSON object, or null for off'),
        ],
    )
    def test_auth_that_would_let_everybody_in_by_a_slip_is_refused(
        self, session: Session, policy: Any, why: str
    ) -> None:
        """On services, routes and in the setting alike."""
        add_service(session, "s")
        with pytest.raises(errors.CheckViolation) as caught:
            session.rows(
                "UPDATE fengling.service SET policies = %s RETURNING 1",
                json.dumps({"auth": policy}),
            )
        assert why in str(caught.value)
        with pytest.raises(errors.CheckViolation):
            session.rows(
                "INSERT INTO fengling.setting VALUES ('defaults', %s) RETURNING 1",
                json.dumps({"auth": policy}),
            )

    def test_effective_policies_say_who_may_ask(self, session: Session) -> None:
        """The nearest level decides, as a whole; null is off."""
        session.run(
            "BEGIN",
            "INSERT INTO fengling.setting VALUES"
            ' (\'defaults\', \'{"auth": {"mode": "required", "roles": ["staff"]}}\')',
            "INSERT INTO fengling.service (id, policies) VALUES ('plain', '{}'),"
            ' (\'scoped\', \'{"auth": {"mode": "required", "scopes": ["a"]}}\')',
            "INSERT INTO fengling.route (id, service_id, policies) VALUES ('a', 'plain', '{}'),"
            " ('b', 'scoped', '{}'), ('c', 'scoped', '{\"auth\": null}')",
            "COMMIT",
        )
        found = session.rows(
            "SELECT route_id, policies -> 'auth' FROM fengling.effective_policies ORDER BY 1"
        )
        assert found == [
            ("a", {"mode": "required", "roles": ["staff"]}),
            ("b", {"mode": "required", "scopes": ["a"]}),
            ("c", None),
        ]


class UndoTests:
    """Nobody is let in again by accident."""

    def test_revoked_key_stays_revoked(self, session: Session) -> None:
        """It says so, and how to let it in; all else of the revision is put back."""
        add_key(session)
        add_service(session, "s")
        session.run("BEGIN", "UPDATE fengling.api_key SET enabled = false, name = 'x'")
        session.run("UPDATE fengling.service SET name = 'x'", "COMMIT")
        told(session)
        assert session.value("SELECT fengling.undo(4)") == "undid 2 changes of revision 4"
        shown = told(session)
        assert 'WARNING:  API key "k" is not let in again by undoing revision 4' in shown
        assert "UPDATE fengling.api_key SET enabled = true WHERE id = 'k'" in shown
        assert session.rows("SELECT enabled, name FROM fengling.api_key") == [(False, "")]
        assert session.value("SELECT name FROM fengling.service") == ""

    def test_nothing_is_left_to_undo_of_a_mere_revocation(self, session: Session) -> None:
        """It makes no revision, and says that it has done nothing."""
        add_key(session)
        session.run("UPDATE fengling.api_key SET enabled = false")
        assert session.value("SELECT fengling.undo(3)") == (
            "undid 0 changes of revision 3; left 1 alone"
        )
        assert revisions(session) == [1, 2, 3]
        assert "is not let in again" in told(session)
        session.run("UPDATE fengling.api_key SET enabled = true")
        assert key_of(session)[0]

    def test_deleted_key_comes_back_revoked(self, session: Session) -> None:
        """With its client, where that went along; so an accident can be mended."""
        add_key(session)
        session.run(
            "BEGIN", "DELETE FROM fengling.api_key", "DELETE FROM fengling.client", "COMMIT"
        )
        told(session)
        session.run("SELECT fengling.undo(3)")
        assert key_of(session) == (False, DIGEST, None)
        assert session.value("SELECT enabled FROM fengling.client")
        assert told(session).count("is not let in again") == 1
        session.run("SELECT fengling.undo(4)")
        assert session.value("SELECT count(*) FROM fengling.client") == 0
        session.run("SELECT fengling.undo(5)")
        assert key_of(session)[0] is False

    def test_replaced_key_stays_replaced(self, session: Session) -> None:
        """Its name, and what else has changed, is put back."""
        add_key(session)
        session.run(f"UPDATE fengling.api_key SET digest = '{OTHER}', name = 'x'")
        session.run("SELECT fengling.undo(3)")
        assert key_of(session) == (True, OTHER, None)
        assert session.value("SELECT name FROM fengling.api_key") == ""
        assert "is not let in again" in told(session)

    @pytest.mark.parametrize(
        ("before", "after", "left"),
        [
            ("NULL", "'2026-01-01Z'", "2026-01-01 00:00:00+00"),
            ("'2036-01-01Z'", "'2026-01-01Z'", "2026-01-01 00:00:00+00"),
            ("'2026-01-01Z'", "'2036-01-01Z'", "2026-01-01 00:00:00+00"),
            ("'2026-01-01Z'", "NULL", "2026-01-01 00:00:00+00"),
            ("'infinity'", "'2026-01-01Z'", "2026-01-01 00:00:00+00"),
        ],
    )
    def test_key_ends_no_later_than_it_does_now(
        self, session: Session, before: str, after: str, left: str
    ) -> None:
        """Letting it expire is a way to revoke it."""
        session.run("SET timezone = 'UTC'")
        add_key(session)
        session.run(f"UPDATE fengling.api_key SET expires_at = {before}")
        session.run(f"UPDATE fengling.api_key SET expires_at = {after}")
        session.run(f"SELECT fengling.undo({revisions(session)[-1]})")
        assert key_of(session)[2] == left

    def test_disabled_client_stays_disabled(self, session: Session) -> None:
        """Its keys would all be let in again."""
        add_key(session)
        session.run("UPDATE fengling.client SET enabled = false, scopes = '{a}'")
        session.run("SELECT fengling.undo(3)")
        assert session.rows("SELECT enabled, scopes FROM fengling.client") == [(False, [])]
        assert 'client "c" is not let in again' in told(session)

    def test_key_that_is_made_or_let_in_is_shut_out_by_undoing(self, session: Session) -> None:
        """That direction is what one undoes for, and nobody is warned."""
        add_key(session)
        session.run("SELECT fengling.undo(2)")
        assert session.value("SELECT count(*) FROM fengling.api_key") == 0
        add_key(session)
        session.run("UPDATE fengling.api_key SET enabled = false")
        session.run("UPDATE fengling.api_key SET enabled = true")
        told(session)
        session.run(f"SELECT fengling.undo({revisions(session)[-1]})")
        assert key_of(session)[0] is False
        assert "WARNING" not in told(session)

    def test_issuers_are_put_back_as_they_were(self, session: Session) -> None:
        """Their keys are nobody's secret; also where one took the place of another."""
        add_issuer(session, "a", "https://id.example")
        session.run("BEGIN", "DELETE FROM fengling.issuer")
        add_issuer(session, "b", "https://id.example")
        session.run("COMMIT", "SELECT fengling.undo(2)")
        assert session.rows("SELECT id, enabled FROM fengling.issuer") == [("a", True)]


class RoleTests:
    def test_console_writes_and_gateway_reads(self, cast: Cast) -> None:
        """And a stranger does neither."""
        jane, gateway, mallory = cast.enter("jane"), cast.enter("gw"), cast.enter("mallory")
        add_key(jane)
        add_issuer(jane, "corp", "https://id.example")
        jane.run("UPDATE fengling.client SET scopes = '{a}', roles = '{b}'")
        jane.run("UPDATE fengling.api_key SET enabled = false", "SELECT fengling.undo(4)")
        add_service(jane, "s")
        jane.run('UPDATE fengling.service SET policies = \'{"auth": {"mode": "optional"}}\'')
        for table in ("issuer", "client", "api_key"):
            assert gateway.value(f"SELECT count(*) FROM fengling.{table}") == 1
            with pytest.raises(errors.InsufficientPrivilege):
                gateway.run(f"UPDATE fengling.{table} SET enabled = true")
            with pytest.raises(errors.InsufficientPrivilege):
                mallory.run(f"SELECT FROM fengling.{table}")
