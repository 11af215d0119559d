"""The one spelling in which paths are compared; what is forwarded keeps its own."""

from __future__ import annotations

import re
from typing import Final

_PERCENT: Final = 0x25

# These keep a meaning of their own when they are encoded: separators, and the
# semicolon, at which some servers cut a segment only when it is bare.
_KEPT_ENCODED: Final = frozenset(b"/\\;?#%")

_BEYOND_ASCII: Final = re.compile(rb"[^\x00-\x7f]")


def _spell(code: int) -> bytes:
    if 0x20 < code < 0x7F and code not in _KEPT_ENCODED:
        return bytes((code,))
    return b"%%%02X" % code


_SPELLINGS: Final = {
    f"{high}{low}".encode(): _spell(int(high + low, 16))
    for high in "0123456789abcdefABCDEF"
    for low in "0123456789abcdefABCDEF"
}
"""By the two digits after a ``%``, what it is in a canonical path."""


def canonical_path(path: bytes) -> bytes:
    """
    Return the one spelling of a path in which paths are compared.

    Percent-encoded printable ASCII is decoded, other encodings have upper-case
    digits, and bytes beyond ASCII are encoded. A stray ``%`` stays.
    """
    if not path.isascii():
        path = _BEYOND_ASCII.sub(lambda found: _spell(found.group()[0]), path)
    # An integer is looked for four times faster than a byte string is.
    if _PERCENT not in path:
        return path
    first, *rest = path.split(b"%")
    spelled = [first]
    for part in rest:
        digits = part[:2]
        spelled += (_SPELLINGS.get(digits) or b"%" + digits, part[2:])
    return b"".join(spelled)
