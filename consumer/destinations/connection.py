"""The connection of a destination by HTTP: certificates, proxies, and the beginning of an answer."""

import asyncio
import contextlib
import http.cookiejar
import ssl
from importlib.metadata import version

import httpx

from consumer.destinations.certificate_settings import CertificateSettings
from relay.errors import RelayError, describe
from relay.http import create_fixed_context, environment_ca_file, open_transport
from relay.rotated_context import RotatedContext

CONNECT_SECONDS = 10.0
BODY_SECONDS = 5.0
"""How long the body of an answer may take after its status."""


def tls_context(name: str, config: CertificateSettings) -> RotatedContext:
    """Return a context with the certificates that the settings' files have. Raises RelayError for a file that cannot be used."""
    files = [config.ca_file or environment_ca_file(), config.certificate_file, config.key_file]
    return RotatedContext([each for each in files if each is not None], lambda: _create_context(name, config))


def _create_context(name: str, config: CertificateSettings) -> ssl.SSLContext:
    try:
        context = create_fixed_context(config.ca_file)
    except (OSError, ValueError) as error:
        raise RelayError(
            f"destinations.{name}.ca_file cannot be used: {describe(error)}. Check the file."
        ) from error
    if config.certificate_file is None:
        return context
    try:
        context.load_cert_chain(config.certificate_file, config.key_file)
    except (OSError, ValueError) as error:
        raise RelayError(
            f"destinations.{name}.certificate_file or its key_file cannot be used: {describe(error)}. Check both files."
        ) from error
    return context


def open_client(context: ssl.SSLContext, max_requests: int, *, cookies: bool = False) -> httpx.AsyncClient:
    """Return a client that follows no redirect and waits for any number of connections. `cookies`: keep those of the peer.

    Proxies are those of the environment. The caller bounds the time of a request. Raises SettingsError for a wrong proxy.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=2 * max_requests)
    policy = None if cookies else http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
    return httpx.AsyncClient(
        transport=open_transport(context, limits),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
        headers={"User-Agent": f"jira-audit-relay/{version('jira-audit-relay')}"},
        cookies=http.cookiejar.CookieJar(policy),
    )


async def read_beginning(response: httpx.Response, max_bytes: int) -> tuple[bytes, bool]:
    """Return the first bytes of an answer as they came, and whether they are all of it.

    A body that breaks off, or does not end in time, is returned as far as it came; nothing of one that is compressed.
    """
    found = bytearray()
    complete = False
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in response.aiter_raw():
                found += piece
                if len(found) > max_bytes:
                    break
            complete = len(found) <= max_bytes
    if "Content-Encoding" in response.headers:
        return b"", False
    return bytes(found[:max_bytes]), complete
