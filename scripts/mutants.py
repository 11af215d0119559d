"""Run mutmut, and compare what survives with what docs/mutants.md gives reasons for.

A survivor is told by its function, and by the code before and after: its number
would change with every other mutant of the function.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "mutants"
PACKAGE = "fengling_gateway"
DOCS = ROOT / "docs" / "mutants.md"

ENOUGH = 0.9
"""The least share of a module's mutants that tests have to notice."""

SURVIVED = frozenset({0, 5, 33})
"""Exit codes: the tests passed, or no test runs the code."""

HEADING = re.compile(r"### ([\w.]+)")
ENTRY = re.compile(r"- ([\w.]+): ``(.+?)`` → ``(.*?)``: (.+)")


class Survivor(NamedTuple):
    """
    A change that no test notices.

    Attributes:
        module: without the package: ``balancing.split``.
        function: ``Split.pick``, or ``take_turns``.
        before, after: the code, of any number of lines, as one.
    """

    module: str
    function: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"- {self.function}: ``{self.before}`` → ``{self.after}``: "


def reasons(text: str) -> dict[Survivor, str]:
    """Return the survivors that a document lists, with the reason of each."""
    found: dict[Survivor, str] = {}
    module = ""
    for line in text.splitlines():
        if heading := HEADING.fullmatch(line):
            module = heading[1]
        elif entry := ENTRY.fullmatch(line):
            function, before, after, reason = entry.groups()
            found[Survivor(module, function, before, after)] = reason
    return found


def outdated(survivors: Iterable[Survivor], root: Path = ROOT) -> list[str]:
    """Name those whose module, function or code is there no more."""
    return [
        f"{one.module}: {one.function} has no {one.before!r}"
        for one in survivors
        if one.before not in source_of(root / PACKAGE / one.module.replace(".", "/"), one.function)
    ]


def source_of(module: Path, function: str) -> str:
    """Return the code of a function or method, as one line; nothing where there is none."""
    path = module.with_suffix(".py")
    if not path.exists():
        return ""
    text = path.read_text()
    place: ast.AST | None = ast.parse(text)
    for name in function.split("."):
        place = next((one for one in getattr(place, "body", ()) if named(one) == name), None)
    return one_line(ast.get_source_segment(text, place) or "") if place else ""  # type: ignore[arg-type]


def named(statement: ast.AST) -> str | None:
    return getattr(statement, "name", None)


def one_line(code: str) -> str:
    return " ".join(code.split())


def tried(modules: list[str]) -> Iterator[tuple[str, str, int | None]]:
    """Yield the module, the name and the exit code of each mutant; None if it was not tried."""
    for path in sorted(MUTANTS.glob(f"{PACKAGE}/**/*.meta")):
        module = ".".join(path.relative_to(MUTANTS / PACKAGE).parts).removesuffix(".py.meta")
        if modules and not any(f"{module}.".startswith(f"{one}.") for one in modules):
            continue
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items():
            yield module, name, code


def survivor(module: str, name: str) -> Survivor:
    """Read what a mutant changes."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    path = Path(PACKAGE, *module.split(".")).with_suffix(".py")
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    before, after = (
        one_line(" ".join(line[1:] for line in lines if line.startswith(sign))) for sign in "-+"
    )
    return Survivor(module, function_of(name), before, after)


def function_of(name: str) -> str:
    """Return the function of a mutant: ``a.b.xǁSplitǁpick__mutmut_7`` is of ``Split.pick``."""
    mangled = name.rpartition(".")[2].rpartition("__mutmut_")[0]
    return mangled[2:].replace("ǁ", ".")


def run(modules: list[str], names: list[str]) -> None:
    """Have mutmut try some mutants, by name, or all of some modules, or all anew."""
    if not names and not modules:
        shutil.rmtree(MUTANTS, ignore_errors=True)
    wanted = names or [f"{PACKAGE}.{one}.*" for one in modules]
    subprocess.run([sys.executable, "-m", "mutmut", "run", *wanted], cwd=ROOT, check=True)


def report(modules: list[str]) -> bool:
    """Print what is known; return whether it is enough."""
    total, killed, left = Counter[str](), Counter[str](), []
    for module, name, code in tried(modules):
        if code is None:
            continue
        total[module] += 1
        if code in SURVIVED:
            left.append(survivor(module, name))
        else:
            killed[module] += 1
    for module, number in total.items():
        share = killed[module] / number
        poor = "" if share >= ENOUGH else " too few"
        print(f"{module:30} {killed[module]:4} of {number:4} killed, {share:5.1%}{poor}")
    known = reasons(DOCS.read_text())
    new = sorted({one for one in left if one not in known})
    for module in sorted({one.module for one in new}):
        print(f"\n### {module}\n")
        print("\n".join(str(one) for one in new if one.module == module))
    gone = sorted(one for one in known if one.module in total and one not in left)
    for one in gone:
        print(f"noticed by now, though listed: {one.module} {one}")
    return not new and all(killed[one] >= ENOUGH * total[one] for one in total)


def main(arguments: list[str]) -> int:
    options = {one for one in arguments if one.startswith("-")}
    modules = [one.removeprefix(f"{PACKAGE}.") for one in arguments if one not in options]
    if unknown := options - {"--survivors", "--results"}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; see scripts/mutants")
    if "--survivors" in options:
        if names := [name for _, name, code in tried(modules) if code in SURVIVED]:
            run(modules, names)
    elif "--results" not in options:
        run(modules, [])
    return 0 if report(modules) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
