"""Look for known weaknesses (bandit) and for secrets in the source (detect-secrets).

    scripts/security_check.py code|secrets

What either finds and we stand by is in security_exceptions.toml, each with its
reason, and nowhere else: comments in the source excuse nothing. An exception
that excuses nothing any more is an error, too. Neither scanner uses the network.
"""

from __future__ import annotations

import fnmatch
import inspect
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
EXCEPTIONS = ROOT / "scripts" / "security_exceptions.toml"
CODE = ("fengling_gateway", "twisted", "scripts", "benchmarks", "setup.py")

PLUGINS = (
    *("AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "GitHubTokenDetector"),
    *("GitLabTokenDetector", "JwtTokenDetector", "KeywordDetector", "NpmDetector"),
    *("PrivateKeyDetector", "PypiTokenDetector", "SlackDetector"),
)
"""Of the scanner's 27 those for what a project like this one may hold: each costs half a second."""

ENTROPY = {"Base64HighEntropyString": 4.5, "HexHighEntropyString": 3.0}
"""Bits a character; the scanner's defaults."""

FILTERS = (
    *("is_sequential_string", "is_potential_uuid", "is_likely_id_string", "is_templated_secret"),
    *("is_prefixed_with_dollar_sign", "is_indirect_reference", "is_lock_file", "is_swagger_file"),
    "is_not_alphanumeric_string",
)
"""Of the scanner's: what is no secret by its looks. Not those for comments in the source."""


class Finding(NamedTuple):
    """What a scanner has found in a line; ``message`` quotes no secret."""

    rule: str
    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}"

    def text(self, root: Path) -> str:
        lines = (root / self.file).read_text(errors="replace").splitlines()
        return lines[self.line - 1] if self.line <= len(lines) else ""


def bandit(root: Path, places: Iterable[str]) -> Iterator[Finding]:
    """Scan Python files; comments that would switch it off count for nothing."""
    command = [sys.executable, "-m", "bandit", "--quiet", "--ignore-nosec", "--recursive"]
    ran = subprocess.run(
        [*command, "--format", "json", *places],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        report = json.loads(ran.stdout)
    except ValueError:
        raise SystemExit(f"bandit did not run: {ran.stderr[-2000:]}") from None
    for error in report["errors"]:
        raise SystemExit(f"bandit could not read {error['filename']}: {error['reason']}")
    for one in report["results"]:
        yield Finding(
            one["test_id"],
            one["filename"].removeprefix("./"),
            one["line_number"],
            one["issue_text"],
        )


def secrets(root: Path, files: Iterable[str]) -> Iterator[Finding]:
    """
    Scan text files of any kind.

    The scanner's own loop asks every filter of every line, which takes four times
    as long; here they are asked of what has been found.
    """
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.filters import heuristic

    classes: dict[str, Any] = {
        one.__name__: one for one in get_mapping_from_secret_type_to_class().values()
    }
    plugins = [classes[name]() for name in PLUGINS]
    plugins += [classes[name](limit=limit) for name, limit in ENTROPY.items()]
    for file in files:
        try:
            lines = (root / file).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            for plugin in plugins:
                for found in plugin.analyze_line(filename=file, line=line, line_number=number):
                    told = {"line": line, "filename": file, "plugin": plugin}
                    if not _looks_harmless(heuristic, found.secret_value, told):
                        yield Finding(found.type, file, number, "may be a secret")


def _looks_harmless(heuristic: Any, secret: str, told: dict[str, Any]) -> bool:
    values = {"secret": secret, **told}
    for name in FILTERS:
        judge = getattr(heuristic, name)
        wanted = inspect.signature(judge).parameters
        if judge(**{key: value for key, value in values.items() if key in wanted}):
            return True
    return False


def all_files(root: Path) -> list[str]:
    """Return the files that are in git, or would be if they were added."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(name for name in listing.stdout.split("\0") if (root / name).is_file())


def judge(root: Path, findings: Iterable[Finding], exceptions: list[dict[str, str]]) -> list[str]:
    """Return a line for each finding that is not excused, and for each needless exception."""
    used: set[int] = set()
    problems = []
    for finding in findings:
        excuses = [i for i, one in enumerate(exceptions) if _excuses(one, finding, root)]
        used.update(excuses)
        if not excuses:
            problems.append(str(finding))
    for index, one in enumerate(exceptions):
        if not one.get("reason", "").strip():
            problems.append(f"exception without a reason: {one}")
        elif index not in used:
            problems.append(f"exception that excuses nothing any more: {one}")
    return problems


def _excuses(exception: dict[str, str], finding: Finding, root: Path) -> bool:
    return (
        finding.rule in exception["rule"].split(", ")
        and fnmatch.fnmatchcase(finding.file, exception["files"])
        and exception.get("line", "") in finding.text(root)
    )


def main(which: str) -> int:
    exceptions = tomllib.loads(EXCEPTIONS.read_text())[which]
    found = bandit(ROOT, CODE) if which == "code" else secrets(ROOT, all_files(ROOT))
    problems = judge(ROOT, found, exceptions)
    print("\n".join(problems))
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
