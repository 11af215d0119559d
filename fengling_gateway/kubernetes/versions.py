"""Versions of a cluster's resources. Pure."""

from __future__ import annotations


def is_older(version: str, than: str) -> bool:
    """
    Whether a version is of a time before another one.

    The API calls versions opaque, but for its own resources and those of definitions they are
    numbers that grow (KEP-5504). What is no number is not compared.
    """
    if not (_is_number(version) and _is_number(than)):
        return False
    return int(version) < int(than)


def _is_number(version: str) -> bool:
    return version.isascii() and version.isdecimal() and len(version) <= 30
