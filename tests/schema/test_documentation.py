"""What docs/database.md has to paste works as it says."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest
from psycopg2 import errors

from fengling_gateway.model.clients import split_key
from tests.schema.session import Session

PAGE = (Path(__file__).parents[2] / "docs" / "database.md").read_text()


def statements(section: str) -> list[str]:
    """Return what is to be pasted, a statement each."""
    text = PAGE.partition(f"## {section}\n")[2].partition("```sql\n")[2].partition("```")[0]
    without_comments = re.sub(r"--[^\n]*", "", text)
    return [one.strip() for one in without_comments.split(";") if one.strip()]


class DocumentationTests:
    def test_session_in_psql_is_as_shown(self, session: Session) -> None:
        """Also what it refuses."""
        refused = []
        for statement in statements("A session in psql"):
            try:
                session.run(statement)
            except errors.CheckViolation as error:
                refused.append(str(error))
        [why] = refused
        assert 'unknown key "retries" in policies' in why
        assert "known keys: access, auth, concurrency, cors, ejection, host_header, limits, " in why
        assert "fengling: revision 5 (2 changes)" in "".join(session.notices)

    def test_who_may_ask_is_written_as_shown(self, session: Session) -> None:
        """The key that is shown is the one whose digest is kept."""
        session.run(
            "INSERT INTO fengling.service (id) VALUES ('s')",
            "INSERT INTO fengling.route (id, service_id) VALUES ('hello', 's')",
            "INSERT INTO fengling.route (id, service_id, policies)"
            " VALUES ('open', 's', '{\"auth\": {\"mode\": \"anonymous\"}}'),"
            " ('off', 's', '{\"auth\": null}')",
        )
        shown = []
        for statement in statements("Who may ask"):
            if statement.startswith(("SELECT", "WITH")):
                shown.append(session.rows(statement))
            else:
                session.run(statement)
        [[(key,)], public, expired] = shown
        assert split_key(key.encode()) == ("batch-1", sha256(key.encode()).hexdigest())
        assert sorted(public) == [("off",), ("open",)]
        assert expired == []
        assert session.rows("SELECT enabled, digest FROM fengling.api_key") == [
            (False, sha256(key.encode()).hexdigest())
        ]
        assert session.value("SELECT count(*) FROM fengling.issuer WHERE discovery") == 1

    @pytest.mark.parametrize("section", ["A session in psql", "Who may ask"])
    def test_sections_have_what_to_paste(self, section: str) -> None:
        """Or the tests above would test nothing."""
        assert len(statements(section)) > 9
