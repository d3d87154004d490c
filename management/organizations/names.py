"""Names of organizations that do not exist, and those that were probably meant. Pure."""

import difflib
from collections.abc import Iterable

MOST_NEAR = 3


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the names that hold `name` as a part, then those that differ in a few letters: three at most."""
    wanted, names = name.casefold(), sorted(known)
    parts = [each for each in names if wanted in each.casefold()]
    similar = difflib.get_close_matches(wanted, names, n=MOST_NEAR) if len(parts) < MOST_NEAR else []
    return list(dict.fromkeys([*parts, *similar]))[:MOST_NEAR]


def unknown_name_text(name: str, known: Iterable[str]) -> str:
    """Return the sentences about a name that no organization has."""
    names = list(known)
    text = f"There is no organization {name}."
    if not names:
        return f"{text} None has been added yet."
    near = near_names(name, names)
    return (
        f"{text} {'The nearest name is' if len(near) == 1 else 'The nearest names are'} {', '.join(near)}."
        if near
        else text
    )
