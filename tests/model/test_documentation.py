"""What docs/configuration.md says of the entities."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fengling_gateway.configsource.file_entities import SECTIONS, parse_entities
from fengling_gateway.model.kinds import SETTINGS
from fengling_gateway.model.policies import POLICIES
from fengling_gateway.model.problems import CODES
from fengling_gateway.model.validation import KNOWN_FIELDS, Accepted, validate

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()


class DocumentationTests:
    def test_every_code_is_documented_as_it_is(self) -> None:
        """Scripts depend on codes, people on what they mean."""
        rows = dict(
            re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.partition("### Codes")[2], re.MULTILINE)
        )
        assert rows == CODES

    @pytest.mark.parametrize("kind", [kind for kind in SECTIONS.values() if kind != "setting"])
    def test_every_field_is_documented(self, kind: str) -> None:
        """In the section of its kind."""
        section = re.split(
            r"^##", PAGE.partition(f"### {kind}\n")[2], maxsplit=1, flags=re.MULTILINE
        )[0]
        for name in KNOWN_FIELDS[kind]:
            assert f"`{name}`" in section

    def test_every_policy_and_setting_is_documented(self) -> None:
        """By its name."""
        for name in [*POLICIES, *SETTINGS]:
            assert f"`{name}`" in PAGE

    def test_example_is_accepted(self) -> None:
        """What one copies from a page should work."""
        text = PAGE.partition("```yaml\n")[2].partition("```")[0]
        rows = parse_entities(text.encode()).rows
        assert len(rows) == 12
        for key, values in rows.items():
            assert isinstance(validate(key, values), Accepted), validate(key, values)
