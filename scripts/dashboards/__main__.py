"""Write etc/grafana/*.json, the dashboards for Grafana, from what is described beside this file.

    .venv/bin/python scripts/dashboards [--check]

With --check nothing is written, and the exit status is 1 if something would be.
tests/integration/test_prometheus.py asks a Prometheus each of their queries.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from changes import CHANGES
from fleet import FLEET
from traffic import TRAFFIC

FOLDER = Path(__file__).resolve().parent.parent.parent / "etc" / "grafana"


def main(check: bool) -> int:
    """Write or compare; returns the exit status."""
    status = 0
    for described in (TRAFFIC, CHANGES, FLEET):
        path = FOLDER / f"{described['uid']}.json"
        text = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
        if path.exists() and path.read_text() == text:
            continue
        if check:
            status = 1
            print(f"{path} is not what scripts/dashboards makes")
        else:
            path.write_text(text)
            print(f"written: {path}")
    return status


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
