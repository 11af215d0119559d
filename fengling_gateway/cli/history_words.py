"""Revisions in the words of lines and tables."""

from __future__ import annotations

from fengling_gateway.editing.revisions import Revision


def who(revision: Revision) -> str:
    """Name the author, the user who was logged in if nobody vouches for that, and with what."""
    named = revision.author
    if not revision.author_verified:
        named += f" (as {revision.db_user})"
    return f"{named} via {revision.application}" if revision.application else named
