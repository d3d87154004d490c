"""Read URLs that credentials are sent to, in one way.

A URL must have a plain form. One that two parsers may read as two hosts is rejected, never repaired.
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

import idna

from relay.errors import RelayError

_URL = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_PLAIN = re.compile(r"[!-\[\]-~]*")  # visible ASCII without the backslash: some parsers take it for a slash
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")
_DEFAULT_PORT = {"https": 443, "http": 80}


class UrlError(RelayError):
    """The URL is invalid, or its host must not get a credential."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port in normal form. Equal origins are equal values."""

    scheme: str
    host: str
    """Lower case, ASCII, without trailing dot; an IPv6 address without brackets."""
    port: int | None
    """None: the default port of the scheme."""

    @property
    def authority(self) -> str:
        """Return host, or host:port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def port_number(self) -> int:
        """Return the port, also where it is the default of the scheme."""
        return self.port or _DEFAULT_PORT[self.scheme]

    @property
    def loopback(self) -> bool:
        """Return whether the host is this machine, by its form alone; names are not looked up."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def confidential(self) -> bool:
        """Return whether nobody between the relay and the host can read the request."""
        return self.scheme == "https" or self.loopback


def parse_origin(text: str) -> Origin:
    """Return the origin of a URL without user, path and query: https, or http to localhost.

    Raises UrlError, whose message shows no password.
    """
    origin, rest = split_url(text)
    if rest not in {"", "/"}:
        extra = {"?": "a query", "#": "a fragment"}.get(rest.lstrip("/")[:1], "a path")
        raise UrlError(f"The URL has {extra} after its host: use {origin.url} alone.")
    if not origin.confidential:
        raise UrlError(f"{redacted(text)} is plain http: use https (http is allowed to localhost only).")
    return origin


@lru_cache(maxsize=65_536)
def split_url(text: str) -> tuple[Origin, str]:
    """Return the origin of an http or https URL, and the rest of it. Raises UrlError.

    The URLs of sites are split at each request, so they are remembered: those of thirty thousand sites in 30 MB at most.
    """
    match = _URL.fullmatch(text)
    if match is None:
        raise UrlError(f"{redacted(text)} is not a URL: it must begin with https:// .")
    scheme, authority, rest = match.groups()
    if "@" in authority:
        raise UrlError("The URL has a user or a password before its host: remove them.")
    if not _PLAIN.fullmatch(rest):
        raise UrlError(f"{redacted(text)} has a space, a control character or a backslash: remove it.")
    host, port = _split_authority(authority, text)
    default_port = _DEFAULT_PORT[scheme.lower()]
    return Origin(scheme.lower(), host, None if port == default_port else port), rest


def organization_name(url: str) -> str:
    """Return the host of a URL, and the port if it has one: the default name where one host is one organization."""
    return parse_origin(url).authority


def split_host(text: str) -> tuple[str, int | None]:
    """Return host, in normal form, and port of `host` or `host:port`; port None if there is none. Raises UrlError."""
    return _split_authority(text, text)


def _split_authority(authority: str, text: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]*)\](?::(.*))?", authority)
    if bracketed:
        host, port = _normalize_ipv6(bracketed[1], text), bracketed[2]
    else:
        name, colon, rest = authority.partition(":")
        host, port = _normalize_host(name, text), rest if colon else None
    if port is None:
        return host, None
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65_536:
        raise UrlError(f"{redacted(text)} has no valid port: use a number from 1 to 65535.")
    return host, int(port)


def _normalize_host(name: str, text: str) -> str:
    host = _to_ascii(name, text).removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise UrlError(f"{redacted(text)} has no valid host name.")
    if _NUMERIC.fullmatch(labels[-1]):
        return _normalize_ipv4(host, text)
    return host


def _to_ascii(name: str, text: str) -> str:
    try:
        host = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode()
        if "xn--" in host:
            idna.decode(host)
    except idna.IDNAError as error:
        raise UrlError(f"{redacted(text)} has no valid host name.") from error
    return host


def _normalize_ipv4(host: str, text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError as error:
        raise UrlError(
            f"{redacted(text)} is an IPv4 address in an unusual form: write it as 127.0.0.1."
        ) from error


def _normalize_ipv6(host: str, text: str) -> str:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise UrlError(
            f"{redacted(text)} has no valid IPv6 address between its brackets: correct it."
        ) from error
    if address.ipv4_mapped:
        raise UrlError(f"{redacted(text)} is an IPv4 address in IPv6 form: write it as 127.0.0.1.")
    return str(address)


def redacted(text: str) -> str:
    """Return a URL for a message, without its user, password and query."""
    if "@" in text:
        return "The URL"
    return repr(text.partition("?")[0][:200])
