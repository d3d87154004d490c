"""Decide where credentials may be sent.

API keys go to Atlassian's domains, to this machine and to hosts that an operator allows, and nowhere else.
A URL must have a plain form. One that two parsers may read as two hosts is rejected, never repaired.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

import idna

from relay.errors import RelayError

_URL = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_PLAIN = re.compile(r"[!-\[\]-~]*")  # visible ASCII without the backslash: some parsers take it for a slash
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[0-9]{1,5}")
_DEFAULT_PORT = {"https": 443, "http": 80}

GOVERNMENT_GATEWAY_URL = "https://api.atlassian-us-gov-mod.com"
_GOVERNMENT_DOMAIN = "atlassian-us-gov-mod.net"
"""Sites of Atlassian Government Cloud: support.atlassian.com, "Get access to the Atlassian Government environment"."""
_SITE_DOMAINS = {"atlassian.net", _GOVERNMENT_DOMAIN}
_ACCOUNT_DOMAINS = ("atlassian.com", "atlassian-us-gov-mod.com")
"""Atlassian's gateways and account pages: api, admin, id, home and others. No site has such a host."""


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
        raise UrlError(f"{_redacted(text)} is plain http: use https (http is allowed to localhost only).")
    return origin


def split_url(text: str) -> tuple[Origin, str]:
    """Return the origin of an http or https URL, and the rest of it. Raises UrlError."""
    match = _URL.fullmatch(text)
    if match is None:
        raise UrlError(f"{_redacted(text)} is not a URL: it must begin with https:// .")
    scheme, authority, rest = match.groups()
    if "@" in authority:
        raise UrlError("The URL has a user or a password before its host: remove them.")
    if not _PLAIN.fullmatch(rest):
        raise UrlError(f"{_redacted(text)} has a space, a control character or a backslash: remove it.")
    host, port = _split_authority(authority, text)
    default_port = _DEFAULT_PORT[scheme.lower()]
    return Origin(scheme.lower(), host, None if port == default_port else port), rest


def parse_site(text: str) -> Origin:
    """Return the origin of a Jira site's URL. Raises UrlError, which explains an address of Atlassian's that is not a site's."""
    origin, _ = split_url(text)
    if any(origin.host == domain or origin.host.endswith(f".{domain}") for domain in _ACCOUNT_DOMAINS):
        raise UrlError(
            f"{origin.host} is Atlassian's gateway or a page of an account, not a Jira site: use the address that a browser"
            " shows in Jira, up to its host, such as https://acme.atlassian.net. The relay finds the gateway by itself."
        )
    return parse_origin(text)


def organization_name(url: str) -> str:
    """Return the default name of an organization: the host of its URL, and the port if it has one."""
    return parse_origin(url).authority


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The hosts that a producer may send credentials to."""

    gateway_url: str
    allowed_hosts: Sequence[str] = ()
    """Each entry is a host, for any port, or host:port."""

    def gateway_for(self, site_url: str) -> str:
        """Return the gateway that knows a site: Government Cloud has its own."""
        site, _ = split_url(site_url)
        return GOVERNMENT_GATEWAY_URL if _site_domain(site.host) == _GOVERNMENT_DOMAIN else self.gateway_url

    def check(self, url: str) -> None:
        """Return only if a credential may be sent to this URL. Raises UrlError otherwise."""
        if not url.isascii():  # two libraries may encode such a host in two ways
            raise UrlError(f"{_redacted(url)} is not ASCII: write its host in the form xn--….")
        origin, _ = split_url(url)
        if not origin.confidential:
            raise UrlError(
                f"{origin.url} is plain http: use https, since credentials are sent encrypted only."
            )
        if not self._is_allowed(origin):
            raise UrlError(
                f"{origin.authority} may not get credentials: it is neither *.atlassian.net "
                f"or *.{_GOVERNMENT_DOMAIN} nor their gateway. If it is your Jira, add it to producer.allowed_hosts."
            )

    def _is_allowed(self, origin: Origin) -> bool:
        return (
            origin.loopback
            or _site_domain(origin.host) is not None
            or origin in {parse_origin(self.gateway_url), parse_origin(GOVERNMENT_GATEWAY_URL)}
            or any(
                origin.host == host and port in {None, _port_of(origin)}
                for host, port in self._parsed_hosts()
            )
        )

    def _parsed_hosts(self) -> list[tuple[str, int | None]]:
        return [split_host(entry) for entry in self.allowed_hosts]


def split_host(text: str) -> tuple[str, int | None]:
    """Return host, in normal form, and port of `host` or `host:port`; port None if there is none. Raises UrlError."""
    return _split_authority(text, text)


def _port_of(origin: Origin) -> int:
    return origin.port or _DEFAULT_PORT[origin.scheme]


def _site_domain(host: str) -> str | None:
    """Return the domain of Atlassian's that a host is a site of. None: it is not a site."""
    site, _, domain = host.partition(".")
    return domain if domain in _SITE_DOMAINS and site else None


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
        raise UrlError(f"{_redacted(text)} has no valid port: use a number from 1 to 65535.")
    return host, int(port)


def _normalize_host(name: str, text: str) -> str:
    host = _to_ascii(name, text).removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise UrlError(f"{_redacted(text)} has no valid host name.")
    if _NUMERIC.fullmatch(labels[-1]):
        return _normalize_ipv4(host, text)
    return host


def _to_ascii(name: str, text: str) -> str:
    try:
        host = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode()
        if "xn--" in host:
            idna.decode(host)
    except idna.IDNAError as error:
        raise UrlError(f"{_redacted(text)} has no valid host name.") from error
    return host


def _normalize_ipv4(host: str, text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError as error:
        raise UrlError(
            f"{_redacted(text)} is an IPv4 address in an unusual form: write it as 127.0.0.1."
        ) from error


def _normalize_ipv6(host: str, text: str) -> str:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError as error:
        raise UrlError(
            f"{_redacted(text)} has no valid IPv6 address between its brackets: correct it."
        ) from error
    if address.ipv4_mapped:
        raise UrlError(f"{_redacted(text)} is an IPv4 address in IPv6 form: write it as 127.0.0.1.")
    return str(address)


def _redacted(text: str) -> str:
    """Return a URL for a message, without its user, password and query."""
    if "@" in text:
        return "The URL"
    return repr(text.partition("?")[0][:200])
