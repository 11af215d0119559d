"""The command ``fengling-gateway``.

Imports nothing at first: a signal that comes right behind the start must not
end it, and what a gateway is made of takes tenths of a second to import.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Run ``fengling-gateway`` (the console script)."""
    ignore_signals()
    from fengling_gateway.tap.foreground import start

    start()


def ignore_signals() -> None:
    """Ignore those that ask something of a running gateway, until there is one to handle them."""
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
