"""Ownership: what a round of changes may change in place."""

from __future__ import annotations

import pytest

from fengling_gateway.routing import edit as edits
from fengling_gateway.routing.edit import Edit
from fengling_gateway.routing.hostpaths import HostPaths
from fengling_gateway.routing.pathtree import Node
from fengling_gateway.routing.regexes import RegexIndex
from fengling_gateway.routing.scope import Scope


class EditTests:
    def test_only_what_an_edit_has_made_is_its_own(self) -> None:
        """Not what another has."""
        edit, part = Edit(), object()
        assert not edit.made(part)
        assert edit.keep(part) is part
        assert edit.made(part)
        assert not Edit().made(part)

    def test_as_many_parts_as_it_says_are_remembered(self) -> None:
        """And forgotten all at once by one more, which is remembered."""
        edit, parts = Edit(), [object() for _ in range(edits._REMEMBERED)]
        for part in parts:
            edit.keep(part)
        assert all(map(edit.made, parts))
        last = edit.keep(object())
        assert not any(map(edit.made, parts))
        assert edit.made(last)


class OwnedByTests:
    @pytest.mark.parametrize("kind", [Scope, HostPaths, Node, RegexIndex])
    def test_part_is_copied_once_by_each_edit(
        self, kind: type[Scope | HostPaths | Node | RegexIndex]
    ) -> None:
        """What is published stays as it is; what is the edit's own is changed in place."""
        published, edit = kind(), Edit()
        own = published.owned_by(edit)
        assert own is not published
        assert own.owned_by(edit) is own
        assert own.owned_by(Edit()) is not own
