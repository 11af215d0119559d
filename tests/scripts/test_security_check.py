"""What scripts/check says of weaknesses and secrets in the source."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.scripts.test_environment import load

check = load("security_check")

# In pieces: this file is scanned, too.
PRIVATE_KEY = "-----BEGIN " + "PRIVATE KEY-----"
TOKEN = "gh" + "p_" + "Ab1" * 12
HEX = sha256(b"").hexdigest()


def exception(**values: str) -> dict[str, str]:
    return {"files": "*", "reason": "because", **values}


class BanditTests:
    """Weak code."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("bandit")

    def test_a_weakness_is_found(self, tmp_path: Path) -> None:
        """With the line; a comment in the source that switches the scanner off does not help."""
        (tmp_path / "weak.py").write_text(
            "import subprocess\nsubprocess.run(a, shell=True)  # nosec\n"
        )
        found = {(one.rule, one.file, one.line) for one in check.bandit(tmp_path, ["."])}
        assert ("B602", "weak.py", 2) in found

    def test_sound_code_has_none(self, tmp_path: Path) -> None:
        (tmp_path / "sound.py").write_text("def double(value: int) -> int:\n    return 2 * value\n")
        assert list(check.bandit(tmp_path, ["."])) == []

    def test_a_file_that_cannot_be_read_is_no_success(self, tmp_path: Path) -> None:
        (tmp_path / "broken.py").write_text("def (:\n")
        with pytest.raises(SystemExit):
            list(check.bandit(tmp_path, ["."]))


class SecretsTests:
    """Secrets in any file."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("detect_secrets")

    @pytest.mark.parametrize(
        ("line", "rule"),
        [
            (PRIVATE_KEY, "Private Key"),
            (f'token = "{TOKEN}"', "GitHub Token"),
            ('url = "postgresql://gateway:' + 'x7Gf2kQ9@db/fengling"', "Basic Auth Credentials"),
            ('password = "' + 'x7Gf2kQ9wL"', "Secret Keyword"),
            (f'key = "{HEX}"', "Hex High Entropy String"),
        ],
    )
    def test_a_secret_is_found(self, tmp_path: Path, line: str, rule: str) -> None:
        """Of every kind that we might leave lying about, with the line and without itself."""
        (tmp_path / "file.py").write_text(f"# harmless\n{line}  # pragma: allowlist secret\n")
        found = list(check.secrets(tmp_path, ["file.py"]))
        assert rule in {one.rule for one in found}
        assert {one.line for one in found} == {2}
        assert not any(TOKEN in str(one) or "x7Gf2kQ9" in str(one) for one in found)

    def test_files_that_are_not_yet_in_git_are_scanned(self, tmp_path: Path) -> None:
        """What is ignored is not."""
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        (tmp_path / ".gitignore").write_text("ignored\n")
        for name in ("new", "ignored"):
            (tmp_path / name).touch()
        assert check.all_files(tmp_path) == [".gitignore", "new"]


class JudgeTests:
    """What the list of exceptions excuses."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "a.py").write_text("first\nsecond\n")
        return tmp_path

    @pytest.mark.parametrize(
        "excuse",
        [
            exception(rule="B1"),
            exception(rule="B0, B1"),
            exception(rule="B1", files="a.*", line="second"),
        ],
    )
    def test_what_is_listed_is_excused(self, root: Path, excuse: dict[str, str]) -> None:
        assert check.judge(root, [check.Finding("B1", "a.py", 2, "why")], [excuse]) == []

    @pytest.mark.parametrize(
        "excuse",
        [
            exception(rule="B2"),
            exception(rule="B1", files="b.py"),
            exception(rule="B1", line="first"),
        ],
    )
    def test_another_is_not_and_a_needless_exception_is_named(
        self, root: Path, excuse: dict[str, str]
    ) -> None:
        problems = check.judge(root, [check.Finding("B1", "a.py", 2, "why")], [excuse])
        assert problems[0] == "a.py:2: B1: why"
        assert "nothing any more" in problems[1]

    def test_an_exception_needs_a_reason(self, root: Path) -> None:
        excuse = {"rule": "B1", "files": "*", "reason": " "}
        problems = check.judge(root, [check.Finding("B1", "a.py", 1, "why")], [excuse])
        assert ["without a reason" in one for one in problems] == [True]
