"""Counts in sentences."""


def quantity(count: int, noun: str) -> str:
    """Return `1 event`, `2,000 events`. `noun`: in the singular, with a plural in s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
