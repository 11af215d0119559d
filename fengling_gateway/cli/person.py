"""Who runs a command."""

from __future__ import annotations

import getpass
import os


def user_name() -> str | None:
    """Return the user's name; None for a uid that has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None


def user_name_or_number() -> str:
    return user_name() or f"uid-{os.getuid()}"
