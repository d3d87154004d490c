"""IP addresses among texts."""

import ipaddress

import polars as pl

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"^{_OCTET}(?:\.{_OCTET}){{3}}$"


def ip_addresses(texts: pl.Series) -> pl.Series:
    """Return each text that is an IP address without a zone, and null for others."""
    is_ipv4 = texts.str.contains(_IPV4)
    if is_ipv4.all(ignore_nulls=True):
        return texts
    others = texts.filter(~is_ipv4.fill_null(value=True)).unique().to_list()
    found = [text for text in others if is_address(text)]
    return pl.select(pl.when(is_ipv4 | texts.is_in(found)).then(texts)).to_series()


def is_address(text: str) -> bool:
    """Return whether the text is an IPv4 or IPv6 address without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text
