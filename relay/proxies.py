"""The proxies that the variables of the environment name, and which request goes through which of them."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from relay.errors import SettingsError

_PROXY_URL = re.compile(r"https?://[^\s/?#]+/?", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_USER = re.compile(r"^((?:[a-z][a-z0-9+.-]*://)?)[^/]*@", re.IGNORECASE)

Environ = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that a variable names. `fault` says why it cannot be used; None: it can be."""

    url: str
    fault: str | None = None
    variable: str = ""

    @property
    def unreachable(self) -> str:
        """Say that no connection came about, with the proxy's host and its variable, and without its password."""
        return f"no connection through the proxy {self._host}, check {self.variable}"

    def refused(self, status: int) -> str:
        """Say that the proxy answered a request itself, instead of passing it on."""
        return f"the proxy {self._host} refuses the connection ({status}), check {self.variable}"

    @property
    def _host(self) -> str:
        return urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class ProxyRules:
    """Which requests go through which proxy."""

    by_scheme: Mapping[str, Proxy]
    exceptions: tuple[str, ...] = ()
    """The entries of NO_PROXY: hosts, domains, addresses, networks, each with or without a port; `*` is every host."""

    def find(self, url: str) -> Proxy | None:
        """Return the proxy for a request; None: it goes to its host directly.

        This machine, and addresses of its link such as the metadata service of a cloud (169.254.169.254), are never asked
        through a proxy, which could read what is sent there without TLS. Raises SettingsError for a proxy that cannot be used.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        proxy = self.by_scheme.get(parts.scheme)
        if proxy is None or _is_near(host):
            return None
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
        if any(_matches(entry, host, port) for entry in self.exceptions):
            return None
        if proxy.fault is not None:
            raise SettingsError(proxy.fault)
        return proxy


def read_proxy_rules(environ: Environ = os.environ) -> ProxyRules:
    """Read HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in capital or small letters; small ones win, as in curl.

    Raises SettingsError for a proxy of https that cannot be used, unless NO_PROXY excepts every host.
    """
    exceptions = tuple(re.split(r"[\s,]+", _value(environ, "NO_PROXY")[1].lower().strip(", ")))
    if "*" in exceptions:
        return ProxyRules({})
    found = {
        scheme: _parse_proxy(name, value)
        for scheme in ("https", "http")
        for name, value in [first_variable(environ, f"{scheme.upper()}_PROXY", "ALL_PROXY")]
        if value
    }
    https = found.get("https")
    if https is not None and https.fault is not None:
        raise SettingsError(https.fault)
    return ProxyRules(found, tuple(filter(None, exceptions)))


def first_variable(environ: Environ, *names: str) -> tuple[str, str]:
    """Return name and value of the first variable that is set and not empty; empty texts if none is."""
    return next((found for name in names if (found := _value(environ, name))[1]), ("", ""))


def _value(environ: Environ, name: str) -> tuple[str, str]:
    """Return name and value of a variable, in small letters or in capitals, without spaces and line ends around it."""
    for spelling in (name.lower(), name):
        if value := environ.get(spelling, "").strip():
            return spelling, value
    return name, ""


def _parse_proxy(name: str, value: str) -> Proxy:
    url = value if _SCHEME.match(value) else f"http://{value}"
    shown = _USER.sub(r"\1", value)
    remedy = f"Set {name} to the URL of an HTTP proxy, such as http://proxy.example:3128, or NO_PROXY to * to use none."
    if not _PROXY_URL.fullmatch(url):
        kind = (
            "names a kind of proxy that the relay does not use"
            if _SCHEME.match(value) and not value.lower().startswith(("http://", "https://"))
            else "is not the URL of a proxy"
        )
        return Proxy("", f"{name} is {shown[:100]!r}, which {kind}. {remedy}")
    try:
        urlsplit(url).port  # noqa: B018 - it raises for a port that is none
        has_host = bool(urlsplit(url).hostname)
    except ValueError:
        has_host = False
    return (
        Proxy(url, variable=name)
        if has_host
        else Proxy("", f"{name} is {shown[:100]!r}, which is not the URL of a proxy. {remedy}")
    )


def _is_near(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_link_local


def _matches(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY names a host: a domain matches its subdomains, a network its addresses."""
    address, network = _address(host), _network(entry)
    if network is not None:
        return address is not None and address in network
    name, _, entry_port = entry.rpartition(":")
    if entry_port.isdigit() and name:
        if int(entry_port) != port:
            return False
        entry = name
        if (network := _network(entry)) is not None:
            return address is not None and address in network
    domain = entry.removeprefix("*").removeprefix(".")
    return bool(domain) and (host == domain or (address is None and host.endswith(f".{domain}")))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return an address or a network as a network; IPv6 with or without brackets. None: it is neither."""
    if "]:" in entry:
        return None
    try:
        return ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None
