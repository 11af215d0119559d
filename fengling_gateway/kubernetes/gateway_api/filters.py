"""What a rule's filters come to: policies of a route, or a redirect. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fengling_gateway.kubernetes.gateway_api.http_routes import Filter
from fengling_gateway.kubernetes.gateway_api.matches import CompiledMatch, encoded
from fengling_gateway.kubernetes.gateway_api.shapes import Shape, parts, text, texts
from fengling_gateway.kubernetes.gateway_api.urls import PathChange, Redirect, Rewrite
from fengling_gateway.kubernetes.gateway_api.world import Problem

_SCHEMES: Final = (None, "http", "https")
_STATUSES: Final = (301, 302, 303, 307, 308)
_PATH_TYPES: Final = {
    "ReplaceFullPath": "replaceFullPath",
    "ReplacePrefixMatch": "replacePrefixMatch",
}


class Filters(NamedTuple):
    """
    What filters do.

    Attributes:
        request_headers, response_headers: policies of these names; empty for nothing.
    """

    request_headers: dict[str, Any]
    response_headers: dict[str, Any]
    redirect: Redirect | None
    rewrite: Rewrite | None

    def policies(self, match: CompiledMatch) -> dict[str, Any]:
        """Return the policies of the route of a match."""
        found: dict[str, Any] = {}
        if self.request_headers:
            found["request_headers"] = self.request_headers
        if self.response_headers:
            found["response_headers"] = self.response_headers
        if self.rewrite is not None:
            found.update(self.rewrite.policies(match))
        return found


def compile_filters(
    filters: Sequence[Filter],
    matches: Sequence[CompiledMatch | None],
    where: str,
    problems: list[Problem],
) -> Filters:
    """Return what filters do; what is wrong with them is added to `problems`."""
    found: dict[str, Any] = {}
    for at, one in enumerate(filters):
        place = f"{where}.filters[{at}]"
        compile_one = _COMPILED.get(one.type)
        if compile_one is None:
            problems.append(Problem("UnsupportedValue", f"{place}: {one.type} is not supported"))
        elif one.type in found:
            problems.append(Problem("IncompatibleFilters", f"{place}: a second {one.type}"))
        else:
            try:
                found[one.type] = compile_one(one.spec, place, problems)
            except ValueError as error:  # it has not the shape of such a filter
                problems.append(Problem("UnsupportedValue", f"{place}: {error}"))
    result = Filters(
        found.get("RequestHeaderModifier", {}),
        found.get("ResponseHeaderModifier", {}),
        found.get("RequestRedirect"),
        found.get("URLRewrite"),
    )
    problems += _incompatible(result, matches, where)
    return result


def _incompatible(
    filters: Filters, matches: Sequence[CompiledMatch | None], where: str
) -> list[Problem]:
    found = []
    if filters.redirect is not None and filters.rewrite is not None:
        found.append(
            Problem("IncompatibleFilters", f"{where}.filters: both RequestRedirect and URLRewrite")
        )
    changes = [one.path for one in (filters.redirect, filters.rewrite) if one is not None]
    if any(change is not None and change.prefix is not None for change in changes) and any(
        match is not None and match.prefix is None for match in matches
    ):
        found.append(
            Problem("UnsupportedValue", f"{where}.filters: ReplacePrefixMatch without PathPrefix")
        )
    return found


def _header_edits(spec: Shape, where: str, problems: list[Problem]) -> dict[str, Any]:
    setting, adding = _pairs(spec, "set"), _pairs(spec, "add")
    removing = list(dict.fromkeys(name.lower() for name in texts(spec, "remove")))
    names = [name.lower() for name in (*setting, *adding)] + removing
    problems += [
        Problem("UnsupportedValue", f"{where}: more than one action for header {name}")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    edits = {"set": setting, "add": adding, "remove": removing}
    return {key: value for key, value in edits.items() if value}


def _pairs(spec: Shape, key: str) -> dict[str, str]:
    """Return names and values; of several values of a name the first counts."""
    found: dict[str, tuple[str, str]] = {}
    for one in parts(spec, key):
        name = text(one, "name")
        found.setdefault(name.lower(), (name, text(one, "value")))
    return dict(found.values())


def _redirect(spec: Shape, where: str, problems: list[Problem]) -> Redirect:
    scheme, status = spec.get("scheme") or None, spec.get("statusCode", 302)
    if scheme not in _SCHEMES:
        problems.append(Problem("UnsupportedValue", f"{where}.scheme: {scheme} is not supported"))
    if status not in _STATUSES:
        problems.append(
            Problem("UnsupportedValue", f"{where}.statusCode: {status} is not supported")
        )
    port = spec.get("port")
    return Redirect(
        status=status,
        scheme=scheme,
        hostname=text(spec, "hostname") or None,
        port=port if type(port) is int else None,
        path=_path_change(spec, where, problems),
    )


def _rewrite(spec: Shape, where: str, problems: list[Problem]) -> Rewrite:
    return Rewrite(text(spec, "hostname") or None, _path_change(spec, where, problems))


def _path_change(spec: Shape, where: str, problems: list[Problem]) -> PathChange | None:
    path = spec.get("path")
    if not isinstance(path, dict):
        return None
    key = _PATH_TYPES.get(text(path, "type"))
    value = path.get(key) if key is not None else None
    if not isinstance(value, str):
        problems.append(
            Problem("UnsupportedValue", f"{where}.path: {text(path, 'type')} is not supported")
        )
        return None
    if any(character in value for character in "{}?#"):
        problems.append(
            Problem("UnsupportedValue", f"{where}.path: must be a path alone, percent-encoded")
        )
        return None
    written = encoded(value)
    if key == "replaceFullPath":
        return PathChange(full="/" + written.lstrip("/"), prefix=None)
    return PathChange(full=None, prefix=("/" + written.strip("/")).rstrip("/"))


_COMPILED: Final = {
    "RequestHeaderModifier": _header_edits,
    "ResponseHeaderModifier": _header_edits,
    "RequestRedirect": _redirect,
    "URLRewrite": _rewrite,
}
