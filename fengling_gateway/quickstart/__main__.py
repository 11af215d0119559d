"""What scripts/quickstart runs; its program is beside it."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the quickstart."""
    # What it is made of takes half a second to import. A Ctrl-C meanwhile ends it in
    # silence: as an exception it would be a traceback, or get lost in a callback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from fengling_gateway.quickstart import program

    program.main()


if __name__ == "__main__":
    main()
