"""A state of a node that has said something newer since is a recording."""

from __future__ import annotations

from fengling_gateway.syncbus.fleet import MAX_NODES, NewestOnly


def test_an_older_state_is_not_shown() -> None:
    """The same one again is: nothing new has been reported."""
    newest = NewestOnly()
    assert newest.admit("n1", 100.0, now=100.0)
    assert newest.admit("n1", 101.0, now=101.0)
    assert newest.admit("n1", 101.0, now=102.0)
    assert not newest.admit("n1", 100.0, now=103.0)
    assert newest.admit("n1", 103.0, now=103.0)


def test_nodes_have_times_of_their_own() -> None:
    """Their clocks differ."""
    newest = NewestOnly()
    assert newest.admit("n1", 130.0, now=100.0)
    assert newest.admit("n2", 70.0, now=100.0)


def test_a_clock_that_was_set_back_hides_a_node_for_a_minute_only() -> None:
    """Or one that was ahead would hide it for as long as it was."""
    newest = NewestOnly()
    assert newest.admit("n1", 400.0, now=100.0)
    assert not newest.admit("n1", 159.0, now=159.0)
    assert newest.admit("n1", 160.0, now=160.0)
    assert not newest.admit("n1", 159.0, now=161.0)


def test_what_is_remembered_is_bounded() -> None:
    """Names of nodes are whatever stands in Redis; the one seen longest ago is forgotten."""
    newest = NewestOnly()
    for number in range(MAX_NODES + 1):
        newest.admit(f"n{number}", 100.0, now=100.0)
    assert newest.admit("n0", 99.0, now=100.0)
    assert not newest.admit(f"n{MAX_NODES}", 99.0, now=100.0)
