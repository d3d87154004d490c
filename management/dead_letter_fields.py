"""Which dead letters a form or a script means: the words of `jira-relay dead-letters` as fields. Pure."""

from typing import cast, get_args

from management.dead_letter_redrive import RedriveRequest
from management.fields import FieldValues, flag_of, names_of, number_of, require_fields, text_of, time_of
from management.organizations.validation import InputError, validate_name
from relay.dead_letters.closings import LetterState
from relay.dead_letters.selection import LetterSelection

SELECTION_FIELDS = ("destination", "reason", "organization", "from", "to", "producer")
UNREADABLE_FIELDS = ("reason", "organization", "from", "to")
REDRIVE_FIELDS = ("destination", "reason", "organization", "from", "to", "to_live", "rate")


def read_selection(fields: FieldValues) -> LetterSelection:
    """Return the letters that the fields mean. `state`: one of them, or empty for all. Raises InputError."""
    require_fields(fields, (*SELECTION_FIELDS, "state"))
    from_ms, to_ms, state = time_of(fields, "from"), time_of(fields, "to"), text_of(fields, "state")
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise InputError("from must be before to.")
    if state is not None and state not in get_args(LetterState):
        raise InputError(f"state must be one of {', '.join(get_args(LetterState))}.")
    return LetterSelection(
        text_of(fields, "destination"),
        text_of(fields, "reason"),
        frozenset(map(validate_name, names_of(fields, "organization"))),
        from_ms,
        to_ms,
        cast("LetterState | None", state),
        True if flag_of(fields, "producer") else None,
    )


def read_unreadable(fields: FieldValues) -> LetterSelection:
    """Return the producers' letters that the fields mean, for a redrive by the producers. Raises InputError."""
    require_fields(fields, UNREADABLE_FIELDS)
    return read_selection(fields)


def read_redrive(fields: FieldValues) -> RedriveRequest:
    """Return the redrive that the fields ask for. Raises InputError."""
    require_fields(fields, REDRIVE_FIELDS)
    chosen = {name: value for name, value in fields.items() if name in SELECTION_FIELDS}
    return RedriveRequest(read_selection(chosen), flag_of(fields, "to_live"), number_of(fields, "rate"))
