"""
Which credentials a session or a link comes of: ids, the first of them first, with spaces between.

A link may be made by a session that has begun by a link, and so on. Whichever of them is
revoked, what has come of it is over, too.
"""

from __future__ import annotations

from typing import Any, Final

from fengling_gateway.auth.compact import TokenError
from fengling_gateway.auth.operators import Operator
from fengling_gateway.model.names import is_slug

MOST: Final = 5
"""Credentials: they all have to fit into a cookie, and nobody needs links of links of links."""


def via(operator: Operator) -> str:
    """
    Return what that comes of which somebody makes by a credential.

    Raises:
        ValueError: there have been too many already.
    """
    ids = [*operator.via.split(), *filter(None, (operator.token_id,))]
    if len(ids) > MOST:
        raise ValueError("this session has begun by a link of a link of a link: sign in anew")
    return " ".join(ids)


def read_via(said: Any) -> str:
    """
    Return what a signed claim says of it; nothing where there is none.

    Raises:
        TokenError: that is no such thing.
    """
    if said is None:
        return ""
    ids = said.split(" ") if type(said) is str else []
    if not 1 <= len(ids) <= MOST or not all(map(is_slug, ids)):
        raise TokenError("wrong_claims")
    return str(said)
