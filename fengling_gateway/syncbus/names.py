"""Keys and channels in Redis; one database serves one cluster or several."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from fengling_gateway.model.delta import Position


@dataclass(frozen=True, slots=True)
class Names:
    """Everything under ``fengling:{cluster}:``."""

    cluster: str

    @property
    def announcements(self) -> str:
        return f"fengling:{self.cluster}:announce"

    @property
    def commands(self) -> str:
        return f"fengling:{self.cluster}:command"

    @property
    def evidence(self) -> str:
        return f"fengling:{self.cluster}:evidence"

    @property
    def prober(self) -> str:
        return f"fengling:{self.cluster}:prober"

    @property
    def switches(self) -> str:
        """The hash with what somebody has switched off."""
        return f"fengling:{self.cluster}:switches"

    @property
    def nodes(self) -> str:
        """The set of the names of nodes."""
        return f"fengling:{self.cluster}:nodes"

    def node(self, node: str) -> str:
        """The hash with the state of one node."""
        return f"fengling:{self.cluster}:node:{node}"

    def announced(self, position: Position) -> str:
        """The key that the first announcer of a position wins."""
        digest = blake2b(repr(tuple(position)).encode(), digest_size=16).hexdigest()
        return f"fengling:{self.cluster}:announced:{digest}"

    def limit(self, digest: str) -> str:
        """The key with what was taken of one key of a limit."""
        return f"fengling:{self.cluster}:limit:{digest}"

    def limit_calls(self, worker: str) -> str:
        """The key with the number of a worker's last call of the script for limits."""
        return f"fengling:{self.cluster}:limit:calls:{worker}"
