"""What scripts/mutants makes of mutmut's results and of docs/mutants.md."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts.test_environment import load

mutants = load("mutants")

LISTED = """
### some.module

- f: ``return a + b`` → ``return a - b``: only zeros come here.
- C.method: ``pass`` → ````: it says nothing.
"""


class ReasonsTests:
    """The list of a document."""

    def test_each_survivor_has_its_reason(self) -> None:
        """With its module, its function, and its code before and after."""
        assert mutants.reasons(LISTED) == {
            ("some.module", "f", "return a + b", "return a - b"): "only zeros come here.",
            ("some.module", "C.method", "pass", ""): "it says nothing.",
        }

    def test_survivor_is_printed_as_it_is_listed(self) -> None:
        """So that only its reason has to be written."""
        one = mutants.Survivor("some.module", "f", "a", "b")
        assert mutants.reasons(f"### some.module\n{one}because.") == {one: "because."}

    def test_listed_code_is_there(self) -> None:
        """Of our own list: no reason outlives the code that it is about."""
        listed = mutants.reasons(mutants.DOCS.read_text())
        assert listed
        assert mutants.outdated(listed) == []


class OutdatedTests:
    """Entries about code that has changed."""

    @pytest.mark.parametrize(
        ("entry", "is_outdated"),
        [
            (("some", "C.m", "return a + b", ""), False),
            (("some", "C.m", "if a: return a", ""), False),
            (("some", "f", "return 1", ""), False),
            (("some", "f", "return 2", ""), True),
            (("some", "f", "return a + b", ""), True),
            (("some", "m", "return a + b", ""), True),
            (("some", "g", "return 1", ""), True),
            (("other", "f", "return 1", ""), True),
        ],
    )
    def test_code_is_looked_for_in_its_function(
        self, entry: tuple[str, str, str, str], *, is_outdated: bool, tmp_path: Path
    ) -> None:
        """However its lines are broken."""
        (tmp_path / mutants.PACKAGE).mkdir()
        (tmp_path / mutants.PACKAGE / "some.py").write_text(
            "class C:\n    def m(self, a, b):\n        if a:\n            return a\n"
            "        return a + b\n\ndef f():\n    return 1\n"
        )
        assert bool(mutants.outdated([mutants.Survivor(*entry)], tmp_path)) is is_outdated


class ReportTests:
    """What is told at the end."""

    @pytest.fixture
    def results(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """Of two modules: nine of ten noticed, and one of two."""
        package = tmp_path / mutants.PACKAGE / "p"
        package.mkdir(parents=True)
        for name, codes in [("good", [0] + [1] * 9), ("poor", [36, 33]), ("later", [None])]:
            names = {f"{mutants.PACKAGE}.p.{name}.x_f__mutmut_{n}": c for n, c in enumerate(codes)}
            (package / f"{name}.py.meta").write_text(json.dumps({"exit_code_by_key": names}))
        (tmp_path / "list.md").write_text("### p.good\n- f: ``a`` → ``b``: because.\n")
        monkeypatch.setattr(mutants, "MUTANTS", tmp_path)
        monkeypatch.setattr(mutants, "DOCS", tmp_path / "list.md")
        monkeypatch.setattr(
            mutants, "survivor", lambda module, name: mutants.Survivor(module, "f", "a", "b")
        )
        return mutants

    def test_module_with_enough_and_reasons_passes(
        self, results: ModuleType, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nothing is said but its numbers."""
        assert results.report(["p.good"])
        assert capsys.readouterr().out.split() == "p.good 9 of 10 killed, 90.0%".split()

    def test_module_with_too_few_fails_with_what_survived(
        self, results: ModuleType, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """In the form of the list; what took too long has been noticed, what no test runs has not."""
        assert not results.report(["p"])
        said = capsys.readouterr().out
        assert "1 of    2 killed, 50.0% too few" in said
        assert "### p.poor\n\n- f: ``a`` → ``b``: \n" in said
        assert "### p.good" not in said
        assert "later" not in said

    def test_function_is_read_from_the_name_of_a_mutant(self) -> None:
        """A method has its class."""
        assert mutants.function_of("a.b.xǁSplitǁ_pick__mutmut_12") == "Split._pick"
        assert mutants.function_of("a.b.x__take_turns__mutmut_1") == "_take_turns"
