"""Positions, canonical bytes, hashes, and how changes are encoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fengling_gateway.model import delta
from fengling_gateway.model.delta import (
    MAX_PART_BYTES,
    Change,
    Delta,
    Everything,
    Position,
    decode_changes,
    encode_changes,
)
from fengling_gateway.model.entity import (
    KINDS,
    MAX_BODY_BYTES,
    Key,
    add_hash,
    canonical,
    entity_hash,
    subtract_hash,
)

changes = st.builds(
    Change,
    st.builds(Key, st.sampled_from(KINDS), st.text(st.characters(codec="utf-8"), max_size=100)),
    st.none() | st.binary(max_size=300) | st.just(b"x" * MAX_BODY_BYTES),
)


class EverythingTests:
    def test_it_is_what_it_was_made_of(self) -> None:
        """A configuration goes on changing while it is being sent, and is sent as it was."""
        bodies = {Key("route", f"r{number}"): b"%d" % number for number in range(3)}
        changes = tuple(Change(key, body) for key, body in bodies.items())
        everything = Everything(bodies)
        half = iter(everything)
        read = [next(half)]
        bodies[Key("route", "r1")] = b"changed"
        bodies[Key("route", "new")] = b"new"
        del bodies[Key("route", "r2")]
        assert (*read, *half) == tuple(everything) == changes
        assert len(everything) == 3
        assert changes[1] in everything
        assert Change(Key("route", "new"), b"new") not in everything
        assert Change(Key("route", "new"), None) not in everything

    def test_changes_are_made_as_they_are_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first part of many is not held up by all the others."""
        made = []

        def make(key: Key, body: bytes) -> Change:
            made.append(key)
            return Change(key, body)

        bodies = {Key("route", f"r{number}"): bytes(1000) for number in range(1000)}
        everything = Everything(bodies)
        monkeypatch.setattr(delta, "Change", make)
        next(encode_changes(everything))
        assert len(made) < 70


class EncodingTests:
    @given(st.lists(changes, max_size=12))
    def test_decoded_parts_are_what_was_encoded(self, given_changes: list[Change]) -> None:
        """In the same order, and no part is larger than a worker takes in one turn."""
        parts = list(encode_changes(given_changes))
        assert all(0 < len(part) <= MAX_PART_BYTES for part in parts)
        assert [change for part in parts for change in decode_changes(part)] == given_changes

    @given(st.lists(changes, min_size=1, max_size=3), st.data())
    def test_part_that_is_cut_short_is_refused(
        self, given_changes: list[Change], data: st.DataObject
    ) -> None:
        """Half a record is never taken for one."""
        part = next(encode_changes(given_changes))
        end = data.draw(st.integers(1, len(part) - 1))
        whole = list(decode_changes(part))
        try:
            found = list(decode_changes(part[:end]))
        except ValueError:
            return
        assert found == whole[: len(found)]
        assert len(found) < len(whole)

    def test_unknown_kind_is_refused(self) -> None:
        """A newer version's kind can't be guessed."""
        with pytest.raises(ValueError, match="no record"):
            list(decode_changes(b"\xff\x00\x00\x00\x00\x00"))

    def test_delta_from_nothing_is_full(self) -> None:
        """It has no position before."""
        after = Position("e", 1, "t")
        assert Delta(None, after, 0, 0, ()).is_full
        assert not Delta(after, after, 0, 0, ()).is_full


class PositionTests:
    @pytest.mark.parametrize(
        ("mine", "other", "is_after"),
        [
            (("e", 5, "t"), None, True),
            (("e", 5, "t"), ("e", 5, "t"), False),
            (("e", 5, "t"), ("e", 4, "t"), True),
            (("e", 4, "t"), ("e", 5, "t"), False),
            (("e", 5, "other"), ("e", 5, "t"), True),
            (("other", 1, "t"), ("e", 5, "t"), True),
        ],
    )
    def test_is_after(
        self, mine: tuple[str, int, str], other: tuple[str, int, str] | None, is_after: bool
    ) -> None:
        """A later revision, another one of the same number, or another epoch altogether."""
        assert Position(*mine).is_after(Position(*other) if other else None) is is_after


class HashTests:
    @given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=9)), max_size=8))
    def test_content_hash_has_no_order_and_can_be_undone(
        self, entities: list[tuple[str, bytes]]
    ) -> None:
        """Adding in any order gives the same; subtracting gives what was before."""
        parts = [entity_hash(Key("route", name), body) for name, body in entities]
        forward = backward = 0
        for part in parts:
            forward = add_hash(forward, part)
        for part in reversed(parts):
            backward = add_hash(backward, part)
        assert forward == backward
        for part in parts:
            forward = subtract_hash(forward, part)
        assert forward == 0

    def test_kind_id_and_body_all_count(self) -> None:
        """What is one entity's end is not another one's beginning."""
        hashes = {
            entity_hash(Key(kind, name), body)
            for kind in ("route", "tenant")
            for name in ("a", "ab")
            for body in (b"b", b"")
        }
        assert len(hashes) == 8

    def test_canonical_bytes_have_one_form(self) -> None:
        """Sorted, no white space, UTF-8; and nothing that JSON can't say."""
        assert canonical({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
        assert str(Key("route", "a")) == "route a"
        with pytest.raises(ValueError, match="JSON"):
            canonical({"a": float("nan")})
