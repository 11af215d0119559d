"""What is wrong with something that was sent, as one list: path, code and a sentence each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fengling_gateway.console.entity_policies import UNKNOWN_POLICY
from fengling_gateway.model.checks import Field, Record, free_value, wrong_type
from fengling_gateway.model.entity import Key
from fengling_gateway.model.names import owner
from fengling_gateway.model.policies import POLICIES
from fengling_gateway.model.problems import Problem, Report, label, suggestion


def _labels(value: Any, report: Report) -> Any:
    if type(value) is not dict:
        wrong_type(value, "an object", report)
        return None
    return free_value(value, report)


_OWNED: Final = Record(
    Field("labels", _labels, {}), Field("managed_by", owner, None), open_ended=True
)


def judge_owned(body: dict[str, Any]) -> list[Problem]:
    """Judge what no gateway looks at: labels, and whose an entity is."""
    report = Report()
    _OWNED(body, report)
    return [Problem(*one) for one in report.found]


def shape_problems(model: type[BaseModel], body: Any) -> tuple[Problem, ...]:
    """Return what is not of the shape that a model describes. No value is repeated."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return tuple(_problem(model, body, one) for one in found)
    return ()


def merge_problems(told: Sequence[Problem], shape: Iterable[Problem]) -> tuple[Problem, ...]:
    """
    Return all problems, and one only for each place.

    Validation knows better what is wrong than a model does, so a model's problem counts where
    validation has found nothing around it.
    """
    places = [one.path for one in told]
    added: list[Problem] = []
    for problem in shape:
        if not any(_touch(problem.path, place) for place in places):
            places.append(problem.path)
            added.append(problem)
    return (*told, *added)


def relative(key: Key, problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems of an entity with their paths within it; empty is the entity itself."""
    subject = f"{label(key.kind)} {label(key.id)}"
    return tuple(
        Problem(one.path.removeprefix(subject).removeprefix(": "), one.code, one.message)
        for one in problems
    )


_NAME: Final = "[key]"
"""The last step to where pydantic finds the name of a field wrong."""

_CODES: Final = {
    "missing": ("required", "is required"),
    "string_unicode": ("bad_text", "must be valid Unicode"),
    "literal_error": ("not_allowed", ""),
    "string_too_long": ("too_long", ""),
    "too_long": ("too_long", ""),
    "string_too_short": ("empty", ""),
    "too_short": ("empty", ""),
    "string_pattern_mismatch": ("bad_text", ""),
    "greater_than_equal": ("out_of_range", ""),
    "less_than_equal": ("out_of_range", ""),
}
"""By pydantic's word for it, our code and what is said; all others are wrong types."""


def _problem(model: type[BaseModel], body: Any, error: ErrorDetails) -> Problem:
    kind, place = error["type"], error["loc"]
    path = _path(body, place, with_last=kind == "missing")
    if kind == UNKNOWN_POLICY:
        name = error["ctx"]["name"]
        known = suggestion(name, tuple(POLICIES))
        return Problem(f"{path}.{label(name)}", kind, f"is not a known policy; {known}")
    if kind == "extra_forbidden":
        # (Of what is deeper in it, validation tells what is known.)
        known = f"; {suggestion(place[-1], tuple(model.model_fields))}" if len(place) == 1 else ""
        return Problem(path, "unknown_field", f"is not a known field{known}")
    if place and place[-1] == _NAME:
        return Problem(path, "unknown_field", "is not a known name here")
    code, message = _CODES.get(kind, ("wrong_type", ""))
    return Problem(path, code, message or _sentence(error["msg"]))


def _sentence(said: str) -> str:
    """Return what pydantic says in our form: “Input should be a valid string” → “must be …”."""
    return said.replace("Input should ", "must ", 1).replace("String should ", "must ", 1)


def _path(body: Any, place: tuple[int | str, ...], *, with_last: bool) -> str:
    """
    Return a path as validation writes it.

    Beside the steps that are in what was sent, pydantic names the members of unions that it has
    tried. The last step may also be something that is not there.
    """
    path = ""
    value = body
    for number, step in enumerate(place):
        if type(value) is list and type(step) is int and step < len(value):
            value = value[step]
            path += f"[{step}]"
        elif type(value) is dict and (step in value or (with_last and number == len(place) - 1)):
            value = value.get(step)
            path += f"{'.' if path else ''}{label(step)}"
    return path


def _touch(one: str, other: str) -> bool:
    """Whether two paths are of the same place, or one within the other (the entity is no place)."""
    return one == other or _is_within(one, other) or _is_within(other, one)


def _is_within(inner: str, outer: str) -> bool:
    return inner.startswith((f"{outer}.", f"{outer}["))
