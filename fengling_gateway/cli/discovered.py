"""What is said of services that a cluster has, and of what is decided about them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Row = Mapping[str, Any]
"""A service, as a console's API shows it."""

_ASKED: Final = {"hosts": "hosts", "path": "path", "tenant_id": "tenant"}
"""What whoever approves may set in place of the cluster, and how it is called."""


def approval(row: Row, given: Row, *, as_offered: bool) -> dict[str, Any]:
    """
    Return what the API is asked for, to approve a service as it was shown.

    Args:
        given: what is to be set now.
        as_offered: drop what was set before; else it stays where nothing else is given.
    """
    before = {} if as_offered else row["asked"] or {}
    annotations = (row["offer"] or {}).get("annotations")
    shown = {} if annotations is None else {"annotations": annotations}
    return {**before, **given, **shown}


def asks(row: Row, given: Row, body: Row) -> str:
    """Say what is approved of a service: what the cluster says, and what is set in place of it."""
    annotations = (row["offer"] or {}).get("annotations") or {}
    said = ", ".join(f"{key}: {text}" for key, text in annotations.items())
    instead = [
        f"{_set(key, body[key])}{'' if key in given else ' as before'}"
        for key in _ASKED
        if key in body
    ]
    with_it = f"; with {', '.join(instead)}" if instead else ""
    return f"{name(row)} asks for {said or 'nothing in particular'}{with_it}"


def _set(key: str, value: Any) -> str:
    """Say what is set in place of what the cluster says: no hosts are any, and no tenant is none."""
    if not value:
        return f"{'any' if key == 'hosts' else 'no'} {_ASKED[key].removesuffix('s')}"
    said = ", ".join(map(str, value)) if isinstance(value, list) else value
    return f"{_ASKED[key]} {said}"


def came(row: Row) -> tuple[str, bool]:
    """Say what came of a row's decision, and whether that is what was decided."""
    result = result_of(row)
    if result is None:
        if row["gone_at"] is not None:
            return ", and is not there", True
        why = "`fenglingctl kubernetes status` says whether anybody watches"
        return f", and nothing has come of it yet: {why}", False
    at = "" if result.get("revision") is None else f" since revision {result['revision']}"
    if row["state"] != "approved":  # what was wrong with what it asked for is so no longer
        return (f", {result.get('state')}{at}" if at else ""), True
    why = "".join(f": {one}" for one in (result.get("problems") or [])[:1])
    return f", {result.get('state')}{at}{why}", result.get("state") != "refused"


def result_of(row: Row) -> Row | None:
    """Return what came of the decision that counts; None where that is not known yet."""
    result: Row | None = row["result"]
    if result is None or (result.get("decision") or 0) < row["decision"]:
        return None
    return result


def name(row: Row) -> str:
    """Return how a service is called in a command."""
    return f"{row['namespace']}/{row['name']}"


def ready(row: Row) -> Any:
    """Return how many of its instances are ready; None if that is not known."""
    return ((row["offer"] or {}).get("instances") or {}).get("ready")


def problems(row: Row) -> list[str]:
    """Return what is wrong with a row, each once; of what is rejected nothing matters."""
    if row["state"] == "rejected":
        return []
    result = (result_of(row) or {}) if row["state"] == "approved" else {}
    said = [*((row["offer"] or {}).get("problems") or ()), *(result.get("problems") or ())]
    return list(dict.fromkeys(map(str, said)))


def outcome(row: Row) -> str | None:
    """Say in a few words what there is to say of a row: what is wrong, or what has come of it."""
    wrong = problems(row)
    if wrong:
        return wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else "")
    if row["state"] == "pending":
        return None
    result = result_of(row)
    if result is None:
        return None if row["gone_at"] else "under way"
    more = "; it offers something else by now: approve it again" if is_changed(row) else ""
    return f"{result.get('state') or ''}{more}"


def is_changed(row: Row) -> bool:
    """Whether it asks for something else than what was approved."""
    return bool((result_of(row) or {}).get("asks_for_more")) and row["state"] == "approved"
