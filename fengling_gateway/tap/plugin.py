"""What the plugin names for ``twistd fengling-gateway``; imports nothing heavy before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fengling_gateway.tap import command_line
from fengling_gateway.tap.gateway import ignore_signals

if TYPE_CHECKING:
    from fengling_gateway.tap.twistd import WithinTwistd


class Options(command_line.Options):
    """What ``twistd fengling-gateway`` takes."""

    def __init__(self) -> None:
        # The first that we hear of having been chosen, among all that twistd can run.
        ignore_signals()
        super().__init__()


def makeService(options: Options) -> WithinTwistd:
    """
    Make the service for twistd.

    Exits with status 2 and a list of every problem when the settings are bad.
    """
    from fengling_gateway.tap.twistd import make_service

    return make_service(options)
