"""FieldValues of a form or of a JSON document: a form has every value as text. Pure. All raise InputError."""

from collections.abc import Collection, Mapping
from typing import Any

from management.organizations.validation import InputError
from management.times import parse_time

FieldValues = Mapping[str, Any]
_MAX_SHOWN = 80


def require_fields(fields: FieldValues, known: Collection[str]) -> None:
    """Refuse a field that is not known: it is mistyped, and would be left out in silence."""
    for name in fields:
        if name not in known:
            raise InputError(f"{name[:_MAX_SHOWN]!r} is not a field; they are {', '.join(known)}.")


def text_of(fields: FieldValues, name: str) -> str | None:
    """Return a text without white space around it. None: the field is missing or empty."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not is_encodable(value):
        raise InputError(f"{name} must be a text.")
    return value.strip() or None


def is_encodable(text: str) -> bool:
    """Return whether a text has no lone surrogate, which JSON can hold and UTF-8 cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def names_of(fields: FieldValues, name: str) -> tuple[str, ...]:
    """Return a list of texts; in a form it is one text with white space or commas between them."""
    value = fields.get(name)
    if value is None:
        return ()
    if isinstance(value, str) and is_encodable(value):
        return tuple(value.replace(",", " ").split())
    if not isinstance(value, list) or not all(isinstance(each, str) and is_encodable(each) for each in value):
        raise InputError(f"{name} must be a list of texts.")
    return tuple(value)


def flag_of(fields: FieldValues, name: str) -> bool:
    """Return whether a flag is set; a form sends `yes` for a box that is ticked, and else nothing.

    JSON's null is refused: a script that failed to say whether it wants a dry run gets no real one.
    """
    value = fields.get(name, False)
    if value in ("yes", "true") or value is True:
        return True
    if value is False or value in ("", "no", "false"):
        return False
    raise InputError(f"{name} must be true or false.")


def number_of(fields: FieldValues, name: str) -> int | None:
    """Return a whole number. None: the field is missing or empty."""
    value = fields.get(name)
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if text.isascii() and text.isdigit() and len(text) < 16:
            return int(text)
    elif value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InputError(f"{name} must be a whole number.")


def time_of(fields: FieldValues, name: str) -> int | None:
    """Return an instant in ms UTC. None: the field is missing or empty."""
    text = text_of(fields, name)
    return None if text is None else parse_time(text)
