"""
What the models of entities are made of: types of values, and the form of an object.

The models say which shape things have, for the document and for who sends
something of another type. Whether a value is right is for
`fengling_gateway.model.validation`, and what that accepts, these take: their
bounds are its bounds, or wider.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from fengling_gateway.model.times import DURATION_PATTERN

SLUG: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


class Part(BaseModel):
    """An object with known fields; what has another type than stated is not converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(Part):
    """An object without fields."""


def whole(value: Any) -> Any:
    """JSON has one kind of number: 3.0 is a whole one."""
    return int(value) if type(value) is float and value.is_integer() else value


def at_most(length: int) -> Any:
    """Bound the length of text, of a list, or the number of fields."""
    return Field(max_length=length)


def within(low: int, high: int) -> Any:
    return Field(ge=low, le=high)


def lasting(low: float, high: float) -> Any:
    """Make a duration of ``str | float``, from `low` to `high` seconds."""
    texts = {"type": "string", "maxLength": 60, "pattern": f"^(?:{DURATION_PATTERN})$"}
    numbers = {"type": "number", "minimum": low, "maximum": high, "description": "Seconds."}
    return WithJsonSchema({"anyOf": [texts, numbers], "examples": ["3s", "500ms", "1m30s"]})


def about(description: str, default: Any = ..., **more: Any) -> Any:
    """A field with its description; without a default it is required."""
    return Field(default, description=description, **more)


_INSTANTS: Final = {
    "anyOf": [
        {"type": "string", "format": "date-time", "maxLength": 40},
        {"enum": ["infinity", "-infinity"]},
        {"type": "number", "minimum": 0, "description": "Seconds since 1970."},
    ],
    "examples": ["2026-12-31T23:00:00Z"],
}

WHOLE: Final = BeforeValidator(whole)
Instant = Annotated[str | float, WithJsonSchema(_INSTANTS)]
Slug = Annotated[str, Field(pattern=SLUG, examples=["orders"])]
Name = Annotated[str, at_most(200)]
Host = Annotated[str, Field(max_length=256, examples=["shop.example", "*.shop.example"])]
Network = Annotated[str, Field(max_length=50, examples=["10.0.0.0/8"])]
PlainPath = Annotated[str, Field(max_length=1000, pattern="^/", examples=["/api"])]
Token = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$", examples=["X-Build"])]
HeaderValue = Annotated[str, Field(max_length=4096, pattern=r"^[\t\x20-\x7e]*$")]
Word = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,200}$", examples=["orders.read"])]
Claim = Annotated[str, Field(min_length=1, max_length=808, examples=["sub", "/realm/roles"])]
Pem = Annotated[str, at_most(50_000)]
Method = Annotated[str, Field(max_length=20, examples=["GET", "POST"])]
Timeout = Annotated[str | float, lasting(0.001, 86400.0)]
ConnectTimeout = Annotated[str | float, lasting(0.001, 300.0)]
AnyObject = dict[str, Any]
