"""The rules that every HTTP client of the relay follows: proxies, and the certificates that it trusts.

The variables are read here and nowhere else. A .netrc file is never read: its passwords would go to any host it names.
"""

import importlib.util
import os
import ssl
import sys
from functools import partial
from pathlib import Path

import httpx

from relay.direct_transport import DirectTransport, KeptConnections
from relay.errors import SettingsError
from relay.http_answers import close_after_surplus_bytes
from relay.http_body import ACCEPT_ENCODING, bounded
from relay.proxies import Environ, Proxy, ProxyRules, first_variable, read_proxy_rules
from relay.rotated_context import RotatedContext

MAX_BODY_BYTES = 16 * 1024 * 1024
"""The largest answer of a registry or a login server, decompressed."""

_CA_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")

close_after_surplus_bytes()

if importlib.util.find_spec("sniffio") is None:
    # httpcore tries to import it several times a request, and Python searches every directory of its path each time: a tenth of
    # the CPU time of a quiet producer. None is how Python itself notes that a module is missing.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


def create_tls_context(ca_file: Path | None = None, environ: Environ = os.environ) -> ssl.SSLContext:
    """Return a context that trusts the CA certificates of `ca_file`, also once the file is another one.

    None: those of SSL_CERT_FILE or REQUESTS_CA_BUNDLE; without them the system's and certifi's. Raises OSError for `ca_file`,
    SettingsError for the file of a variable.
    """
    file = ca_file or environment_ca_file(environ)
    create = partial(create_fixed_context, ca_file, environ)
    return create() if file is None else RotatedContext([file], create)


def environment_ca_file(environ: Environ = os.environ) -> Path | None:
    """Return the file or directory of CA certificates that the environment names; None: it names none."""
    _, path = first_variable(environ, *_CA_FILES)
    return Path(path) if path else None


def create_fixed_context(ca_file: Path | None = None, environ: Environ = os.environ) -> ssl.SSLContext:
    """Return a context as `create_tls_context`, with the certificates of now. Raises as that."""
    if ca_file is not None:
        return ssl.create_default_context(cafile=ca_file)
    name, path = first_variable(environ, *_CA_FILES)
    if not path:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context
    try:
        if Path(path).is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        raise _unusable(name, path, error.strerror) from error


def read_environment_certificates(environ: Environ = os.environ) -> str | None:
    """Return the CA certificates (PEM) that the environment names, for libraries that take them as text; None: it names no file.

    Raises SettingsError for a file that cannot be used.
    """
    name, path = first_variable(environ, *_CA_FILES)
    if not path or Path(path).is_dir():
        return None
    try:
        text = Path(path).read_text("utf-8", "replace")
    except OSError as error:
        raise _unusable(name, path, error.strerror) from error
    if not holds_certificates(text):
        raise _unusable(name, path, None)
    return text


def holds_certificates(text: str) -> bool:
    """Return whether a text has certificates in PEM form, and none that is damaged."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cadata=text.encode("ascii", "replace").decode()
        )
    except (ssl.SSLError, ValueError):  # ValueError: the text is empty
        return False
    return True


def _unusable(variable: str, path: str, reason: str | None) -> SettingsError:
    reason = reason or "it holds no certificate in PEM form"
    return SettingsError(
        f"{variable} is {path}, which cannot be used: {reason}. Set it to a file of CA certificates, or unset it."
    )


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
    direct = None if kept is None else DirectTransport(context, kept)
    return ProxyTransport(rules, context, limits, max_body_bytes, direct)


def _is_about_tls(error: BaseException | None) -> bool:
    """Return whether the host behind the proxy answered, and TLS with it failed."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
