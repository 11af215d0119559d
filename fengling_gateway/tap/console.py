"""The command ``fengling-console``; imports nothing at first, as `fengling_gateway.tap.gateway` does."""

from __future__ import annotations

from fengling_gateway.tap.gateway import ignore_signals


def main() -> None:
    """Run ``fengling-console`` (the console script)."""
    ignore_signals()
    from fengling_gateway.tap.command_line import ConsoleOptions
    from fengling_gateway.tap.foreground import start

    start(ConsoleOptions())


if __name__ == "__main__":
    main()
