"""Redirects and rewrites of URLs, as a route has them. Pure."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.matches import CompiledMatch

_USUAL_PORTS: Final = {"http": 80, "https": 443}


class PathChange(NamedTuple):
    """
    What becomes of a path; one of the two is None.

    Attributes:
        full: what the whole path becomes.
        prefix: what the prefix of the match becomes; without a slash at its end.
    """

    full: str | None
    prefix: str | None

    def edit(self, match: CompiledMatch) -> dict[str, Any]:
        """Return the change as the policy ``path`` says it; empty where it changes nothing."""
        if self.full is not None:
            return {"replace": self.full}
        if self.prefix == match.prefix:
            return {}
        edit = {"strip": match.prefix, "prefix": self.prefix}
        return {key: value for key, value in edit.items() if value}


class Rewrite(NamedTuple):
    """What becomes of a request before it is forwarded; None is as it was."""

    hostname: str | None
    path: PathChange | None

    def policies(self, match: CompiledMatch) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.hostname is not None:
            found["host_header"] = {"value": self.hostname}
        if self.path is not None and (edit := self.path.edit(match)):
            found["path"] = edit
        return found


class Redirect(NamedTuple):
    """Where a client is sent; None is as the request was."""

    status: int
    scheme: str | None
    hostname: str | None
    port: int | None
    path: PathChange | None

    def target(self, match: CompiledMatch, scheme: str, port: int) -> dict[str, Any]:
        """
        Return the redirect of a route.

        Args:
            scheme, port: of the listener.
        """
        to = self.scheme or scheme
        wanted = self.port or (port if self.scheme is None else _USUAL_PORTS[to])
        authority = (self.hostname or "{hostname}") + (
            "" if wanted == _USUAL_PORTS[to] else f":{wanted}"
        )
        change = self.path
        if change is not None and change.full is not None:
            return self._to(f"{to}://{authority}{change.full}{{query}}")
        redirect = self._to(f"{to}://{authority}{{path}}{{query}}")
        if change is not None and (edit := change.edit(match)):
            redirect["path"] = edit
        return redirect

    def _to(self, location: str) -> dict[str, Any]:
        return {"status": self.status, "location": location}
