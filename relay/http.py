"""The rules that every HTTP client of the relay follows: proxies, and the certificates that it trusts.

The variables are read here and nowhere else. A .netrc file is never read: its passwords would go to any host it names.
"""

import importlib.util
import ipaddress
import os
import re
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from relay.direct_transport import KeptConnections, open_direct
from relay.errors import SettingsError
from relay.http_answers import close_after_surplus_bytes
from relay.http_body import ACCEPT_ENCODING, bounded

MAX_BODY_BYTES = 16 * 1024 * 1024
"""The largest answer of a registry or a login server, decompressed."""

_PROXY_URL = re.compile(r"https?://[^\s/?#]+/?", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_USER = re.compile(r"^((?:[a-z][a-z0-9+.-]*://)?)[^/]*@", re.IGNORECASE)
_CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")

Environ = Mapping[str, str]

close_after_surplus_bytes()

if importlib.util.find_spec("sniffio") is None:
    # httpcore tries to import it several times a request, and Python searches every directory of its path each time: a tenth of
    # the CPU time of a quiet producer. None is how Python itself notes that a module is missing.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


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
        for name, value in [_first(environ, f"{scheme.upper()}_PROXY", "ALL_PROXY")]
        if value
    }
    https = found.get("https")
    if https is not None and https.fault is not None:
        raise SettingsError(https.fault)
    return ProxyRules(found, tuple(filter(None, exceptions)))


def create_tls_context(ca_file: Path | None = None, environ: Environ = os.environ) -> ssl.SSLContext:
    """Return a context that trusts the CA certificates of `ca_file`.

    None: those of SSL_CERT_FILE or REQUESTS_CA_BUNDLE; without them the system's and certifi's. Raises OSError for `ca_file`,
    SettingsError for the file of a variable.
    """
    if ca_file is not None:
        return ssl.create_default_context(cafile=ca_file)
    name, path = _first(environ, *_CA_FILES)
    if not path:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context
    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = error.strerror or "it holds no certificate in PEM form"
        raise SettingsError(
            f"{name} is {path}, which cannot be used: {reason}. Set it to a file of CA certificates, or unset it."
        ) from error


def read_environment_certificates(environ: Environ = os.environ) -> str | None:
    """Return the CA certificates (PEM) that the environment names, for libraries that take them as text; None: it names no file.

    Raises SettingsError for a file that cannot be read.
    """
    name, path = _first(environ, *_CA_FILES)
    if not path or Path(path).is_dir():
        return None
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError as error:
        raise SettingsError(
            f"{name} is {path}, which cannot be used: {error.strerror}. Set it to a file of CA certificates, or unset it."
        ) from error


class ProxyUnreachableError(httpx.ProxyError):
    """No connection through a proxy came about, and the proxy has answered nothing. The host of the request is not to blame."""


class ProxyTransport(httpx.AsyncBaseTransport):
    """Sends each request as the proxy rules say, and reads no more than `max_body_bytes` of a decompressed response."""

    def __init__(
        self,
        rules: ProxyRules,
        context: ssl.SSLContext,
        limits: httpx.Limits | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        direct: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`direct`: the transport of requests that use no proxy. None: that of httpx, with `limits`."""
        self._max_body_bytes = max_body_bytes
        self._rules = rules
        self._context = context
        self._limits = limits or httpx.Limits()
        self._transports: dict[str | None, httpx.AsyncBaseTransport] = (
            {} if direct is None else {None: direct}
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            proxy = self._rules.find(str(request.url)) if self._rules.by_scheme else None
        except SettingsError as error:
            raise httpx.ProxyError(str(error), request=request) from error
        request.headers["Accept-Encoding"] = ACCEPT_ENCODING
        try:
            response = await self._transport(proxy).handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if proxy is None or _is_about_tls(error):
                raise
            raise ProxyUnreachableError(proxy.unreachable, request=request) from error
        return bounded(response, self._max_body_bytes)

    def _transport(self, proxy: Proxy | None) -> httpx.AsyncBaseTransport:
        url = None if proxy is None else proxy.url
        if url not in self._transports:
            self._transports[url] = httpx.AsyncHTTPTransport(
                verify=self._context, limits=self._limits, proxy=url, trust_env=False
            )
        return self._transports[url]

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


def open_transport(
    context: ssl.SSLContext | None = None,
    limits: httpx.Limits | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
    kept: KeptConnections | None = None,
) -> ProxyTransport:
    """Return the transport of a client, made with `trust_env=False`. `kept`: see direct_transport.py. Raises SettingsError."""
    rules, context = read_proxy_rules(), context or create_tls_context()
    return ProxyTransport(rules, context, limits, max_body_bytes, open_direct(context, kept))


def _first(environ: Environ, *names: str) -> tuple[str, str]:
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


def _is_about_tls(error: BaseException | None) -> bool:
    """Return whether the host behind the proxy answered, and TLS with it failed."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


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
