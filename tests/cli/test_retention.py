"""``fenglingctl db retention``."""

from __future__ import annotations

from tests.cli.conftest import Run, Sql, document


def test_it_is_shown_and_set(run: Run, sql: Sql) -> None:
    """One or both; forever is null."""
    shown = run("db", "retention")
    assert [line.split(maxsplit=2)[-1].strip() for line in shown.stdout.splitlines()] == [
        *("1 year", "1 day", "revision 0", "–")
    ]
    assert document(run("db", "retention", "--keep", "90d", "-o", "json"))["keep"] == "90 days"
    assert "forever" in run("db", "retention", "--keep", "forever").stdout
    run("db", "retention", "--keep-health", "2 hours")
    assert sql("SELECT keep IS NULL, keep_health::text FROM fengling.retention") == [
        (True, "02:00:00")
    ]


def test_too_short_is_a_line(run: Run, dsn: str) -> None:
    """That says what would be right."""
    result = run("db", "retention", "--keep", "1 day")
    assert (result.exit_code, result.stderr) == (
        2,
        "fenglingctl: keep is at least 7 days, or null: for good\n",
    )
    assert run("db", "retention", "--keep", "soon").exit_code == 2
    assert "retention" in run("db", "--help").stdout
