"""Who shortens the log, how far, and that nobody waits for it."""

from __future__ import annotations

import pytest
from psycopg2 import errors

from tests.schema.session import Cast, Session, add_service
from tests.schema.test_prune import age, logged


@pytest.fixture
def owner(cast: Cast) -> Session:
    """Return a session in a log with 2,501 old revisions, of which all but one are dispensable."""
    session = cast.enter()
    add_service(session, "a")
    session.run(
        """
        DO $$ BEGIN FOR i IN 1..2500 LOOP
            INSERT INTO fengling.revision SELECT i + 1, gen_random_uuid(), 'config',
                now() - interval '2 years', 'x', true, 'x', 'x', NULL, NULL, false, false, 1, 0, 0, 0;
            INSERT INTO fengling.revision_change
                VALUES (i + 1, 1, 'service', 'a', 'update', '{"id": "a"}', '{"id": "a"}');
        END LOOP; END $$
        """,
        "UPDATE fengling.head SET revision = 2501, baseline_revision = 2501",
        "UPDATE fengling.service SET name = 'x'",
        "UPDATE fengling.service SET name = 'y'",
    )
    age(session, 2501)
    return session


class RightsTests:
    """A log that those whom it watches could wipe would be none."""

    @pytest.mark.parametrize(
        "arguments", ["keep => '-1 year'", "keep => '6 days'", "keep_health => '59 min'"]
    )
    def test_writer_cannot_wipe_the_log(self, cast: Cast, owner: Session, arguments: str) -> None:
        """What she did this week stays."""
        with pytest.raises(errors.InsufficientPrivilege, match="only members of the owner"):
            cast.enter("jane").run(f"SELECT fengling.prune({arguments})")
        assert len(logged(owner)) == 2503

    def test_writer_cannot_have_it_wiped(self, cast: Cast) -> None:
        """Nor by what is done for her later."""
        jane = cast.enter("jane")
        for change in ("keep = '6 days'", "keep = '-1 year'", "keep_health = '59 min'"):
            with pytest.raises(errors.CheckViolation):
                jane.run(f"UPDATE fengling.retention SET {change}")
        with pytest.raises(errors.InsufficientPrivilege):
            jane.run("UPDATE fengling.retention SET pruned_to = 0")

    def test_owner_can(self, cast: Cast, owner: Session) -> None:
        """It is hers, and a test of restoring may need it."""
        owner.run("SELECT fengling.prune(keep => '0')")
        assert logged(owner) == [(2502, "a"), (2503, "a")]

    def test_reader_can_only_do_what_is_due(self, cast: Cast, owner: Session) -> None:
        """It neither says how far, nor how often."""
        reader = cast.enter("gw")
        for statement in ("SELECT fengling.prune()", "UPDATE fengling.retention SET keep = NULL"):
            with pytest.raises(errors.InsufficientPrivilege):
                reader.run(statement)
        assert reader.value("SELECT fengling.prune_step()")


class StepTests:
    """A round in steps, by whoever comes."""

    def test_steps_come_to_the_same_as_all_at_once(self, cast: Cast, owner: Session) -> None:
        """Two thousand changes at a time, and the last step says so."""
        readers = [cast.enter("gw"), cast.enter("gw")]
        assert readers[0].value("SELECT fengling.prune_step()")
        assert len(logged(owner)) == 502
        assert owner.value("SELECT pruned_to FROM fengling.retention") == 2501
        assert not readers[1].value("SELECT fengling.prune_step()")
        assert logged(owner) == [(2501, "a"), (2502, "a"), (2503, "a")]

    def test_next_round_is_not_due_at_once(self, cast: Cast, owner: Session) -> None:
        """Every node of a cluster tries; one round is enough."""
        reader = cast.enter("gw")
        while reader.value("SELECT fengling.prune_step()"):
            pass
        age(owner, 2503)
        assert not reader.value("SELECT fengling.prune_step()")
        assert len(logged(owner)) == 3
        owner.run("UPDATE fengling.retention SET round_ended_at = now() - interval '13 hours'")
        assert not reader.value("SELECT fengling.prune_step()")
        assert logged(owner) == [(2502, "a"), (2503, "a")]

    def test_nothing_goes_where_the_log_is_kept_for_good(self, cast: Cast, owner: Session) -> None:
        """Some have to; of health it is kept apart."""
        cast.enter("jane").run("UPDATE fengling.retention SET keep = NULL")
        while cast.enter("gw").value("SELECT fengling.prune_step()"):
            pass
        assert cast.enter("jane").rows("SELECT * FROM fengling.prune()") == [(0, 0)]
        assert len(logged(owner)) == 2503

    def test_who_keeps_more_from_now_on_loses_no_more(self, cast: Cast, owner: Session) -> None:
        """Also in the middle of a round."""
        reader = cast.enter("gw")
        assert reader.value("SELECT fengling.prune_step()")
        cast.enter("jane").run("UPDATE fengling.retention SET keep = '10 years'")
        assert not reader.value("SELECT fengling.prune_step()")
        assert len(logged(owner)) == 502

    def test_empty_log_is_left_alone(self, cast: Cast) -> None:
        """The first revision is the position of who has read nothing yet."""
        assert not cast.enter("gw").value("SELECT fengling.prune_step()")
        assert cast.enter().rows("SELECT id FROM fengling.revision") == [(0,)]


class WaitingTests:
    """Shortening is slow, and nobody waits for it."""

    @pytest.mark.parametrize("call", ["fengling.prune()", "fengling.prune_step()"])
    def test_writers_do_not_wait(self, cast: Cast, owner: Session, call: str) -> None:
        """They wait for head, and that is not touched."""
        owner.run("BEGIN", f"SELECT {call}")
        jane = cast.enter("jane")
        jane.run("SET lock_timeout = '20ms'")
        add_service(jane, "b")
        owner.run("COMMIT")

    @pytest.mark.parametrize("call", ["fengling.prune()", "fengling.prune_step()"])
    def test_it_does_not_wait_for_writers(self, cast: Cast, owner: Session, call: str) -> None:
        """Nor for one who has forgotten to commit."""
        jane = cast.enter("jane")
        jane.run("BEGIN", "UPDATE fengling.service SET name = 'x'", "SET CONSTRAINTS ALL IMMEDIATE")
        owner.run("SET lock_timeout = '20ms'", f"SELECT {call}")
        jane.run("ROLLBACK")

    def test_two_at_once_do_not_queue(self, cast: Cast, owner: Session) -> None:
        """The second one has nothing to do; a person is told so."""
        owner.run("BEGIN", "SELECT fengling.prune_step()")
        assert not cast.enter("gw").value("SELECT fengling.prune_step()")
        with pytest.raises(errors.LockNotAvailable, match="somebody else is shortening the log"):
            cast.enter("jane").run("SELECT fengling.prune()")
        owner.run("ROLLBACK")
