"""scripts/test: which coverage is enough, and what several processes run together."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "test"
_PYTHON = """\
#!/bin/sh
# Plays pytest and coverage: $PURE and $ALL are what was covered.
[ "$2" = coverage ] || { echo "pytest $*"; exit 0; }
covered=$ALL
for argument; do
    case $argument in --include=*/model/\\*,*) covered=$PURE ;; esac
done
for argument; do
    case $argument in
        --fail-under=*) [ "$covered" -ge "${argument#*=}" ] || exit 2 ;;
        --format=total) echo "$covered" ;;
    esac
done
"""


class ScriptTests:
    """With a Python that only plays."""

    @pytest.fixture(autouse=True)
    def _checkout(self, tmp_path: Path) -> None:
        self.directory = tmp_path
        (tmp_path / "scripts").mkdir()
        shutil.copy(_SCRIPT, tmp_path / "scripts")
        (tmp_path / "scripts" / "environment.sh").write_text("python=./python\n")
        (tmp_path / "python").write_text(_PYTHON)
        (tmp_path / "python").chmod(0o755)

    def run(self, *arguments: str, pure: int, everything: int) -> tuple[int, str]:
        ran = subprocess.run(
            [self.directory / "scripts" / "test", *arguments],
            env={"PATH": "/usr/bin:/bin", "PURE": str(pure), "ALL": str(everything)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "pytest" in ran.stdout, ran.stderr
        return ran.returncode, ran.stdout

    @pytest.mark.parametrize(
        ("pure", "everything", "fails"),
        [(95, 85, False), (94, 90, True), (99, 84, True), (90, 80, True)],
    )
    def test_too_little_of_either_fails(self, pure: int, everything: int, fails: bool) -> None:
        """The pure packages, and all; both are said."""
        status, said = self.run("--coverage", pure=pure, everything=everything)
        assert status == fails
        assert f"coverage of the pure packages, of which 95 % is the least: {pure}\n" in said
        assert f"coverage of all, of which 85 % is the least: {everything}\n" in said

    def test_part_of_the_suite_needs_no_share(self) -> None:
        """Nor does a run that does not measure."""
        assert self.run("--coverage", "tests/model", pure=1, everything=1)[0] == 0
        assert self.run(pure=1, everything=1)[0] == 0

    @pytest.mark.parametrize(
        ("arguments", "are_several"),
        [
            ((), True),
            (("-x", "--durations=10"), True),
            (("tests/model",), False),
            (("-n", "0"), False),
            (("--pdb",), False),
            (("--all",), False),
            (("--coverage",), False),
        ],
    )
    def test_whole_suite_is_run_by_several_processes(
        self, arguments: tuple[str, ...], are_several: bool
    ) -> None:
        """Unless it is asked otherwise, wants the machine for itself, or is measured."""
        said = self.run(*arguments, pure=100, everything=100)[1]
        assert ("-n logical" in said) is are_several
