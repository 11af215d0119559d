"""Write etc/kubernetes/manifests from the Helm chart beside it, for whoever has no Helm.

    .venv/bin/python scripts/manifests [--check]

With --check nothing is written: chart, manifests and Dockerfile are judged, a line for each thing
that is wrong, and the exit status is 1 if there is one. Needs the extra `kubernetes` of setup.cfg.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from charts import MANIFESTS, files, lint_problems, version_problems
from judging import dockerfile_problems, schema_problems


def main(check: bool) -> int:
    """Write or judge; returns the exit status."""
    if not check:
        for name, text in files().items():
            (MANIFESTS / name).write_text(text)
            print(f"written: {MANIFESTS / name}")
        return 0
    found = list(problems())
    for problem in found:
        print(problem)
    return bool(found)


def problems() -> Iterator[str]:
    """Return a line for each thing that is wrong."""
    yield from version_problems()
    yield from lint_problems()
    for name, text in files().items():
        path = MANIFESTS / name
        if not path.exists() or path.read_text() != text:
            yield f"{path} is not what scripts/manifests makes"
        yield from (f"{name}: {problem}" for problem in schema_problems(text))
    yield from dockerfile_problems()


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
