"""Check the names and the sentences in changelog.d/; its README says what they should be."""

from __future__ import annotations

import re
import sys
from pathlib import Path

FRAGMENTS = Path(__file__).resolve().parent.parent / "changelog.d"
NAME = re.compile(r"(\d+|\+[\w-]+)(\.[\w-]+)?\.(feature|bugfix|removal|doc|misc)(\.\d+)?")


def problems(directory: Path) -> list[str]:
    """Return a line for every fragment that breaks a rule."""
    found = []
    for path in sorted(directory.iterdir()):
        if path.name in {"README.md", ".gitignore"}:
            continue
        if not NAME.fullmatch(path.name):
            found.append(f"{path.name}: want ISSUE.feature, bugfix, removal, doc or misc")
        elif ".misc" not in path.name and not path.read_text().rstrip().endswith((".", "```")):
            found.append(f"{path.name}: want whole sentences, with a full stop")
    return found


if __name__ == "__main__":
    found = problems(FRAGMENTS)
    print("\n".join(found))
    sys.exit(bool(found))
