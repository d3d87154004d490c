"""IP addresses among the remote addresses of records."""

import ipaddress
from collections.abc import Iterable


def ip_addresses(texts: Iterable[str | None]) -> list[str | None]:
    """Return the texts that are IP addresses without a zone, and None for others."""
    listed = list(texts)
    known = {text: text if is_address(text) else None for text in set(listed) if text is not None}
    return [None if text is None else known[text] for text in listed]


def is_address(text: str) -> bool:
    """Return whether the text is an IPv4 or IPv6 address without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
