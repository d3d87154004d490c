"""TLS sessions: the next connection to a host needs no certificate, and no other host's connection has its session."""

import asyncio
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace

import httpx
import pytest

from relay import tls_sessions
from relay.direct_transport import DirectTransport, KeptConnections
from relay.http import create_tls_context
from relay.tls_sessions import TlsSessions
from tests.relay.test_direct_transport import WHOLE, get
from tests.support.certificates import CertificateAuthority

ONCE = WHOLE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return CertificateAuthority(tmp_path_factory.mktemp("tls"), "authority")


@pytest.fixture(scope="module")
def pair(authority):
    return authority.issue("site")


def server_context(pair, version=ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.maximum_version = version
    context.load_cert_chain(pair.certificate, pair.key)
    return context


@asynccontextmanager
async def site(context, port=0):
    """Yield the URL of a site, and whether each connection so far has resumed a session."""
    resumed = []

    async def serve(reader, writer):
        resumed.append(writer.get_extra_info("ssl_object").session_reused)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ONCE)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port, ssl=context) as listening:
        yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/", resumed


@asynccontextmanager
async def transport(authority):
    kept = KeptConnections(most=1, seconds=0.0)
    async with DirectTransport(create_tls_context(authority.file), kept) as found:
        yield found


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_next_connection_to_a_host_resumes_its_session(authority, pair, version):
    async with site(server_context(pair, version)) as (url, resumed), transport(authority) as sender:
        answers = [await get(sender, url) for _ in range(3)]

    assert answers == 3 * [(200, b"whole")]
    assert resumed == [False, True, True]


async def test_another_host_has_no_part_in_a_session(authority, pair):
    """Both sites here could resume it: they share the key of their tickets. Another port is another host."""
    context = server_context(pair)
    async with (
        site(context) as (first, _),
        site(context) as (second, resumed),
        transport(authority) as sender,
    ):
        await get(sender, first)
        await get(sender, second)
        await get(sender, second.replace("127.0.0.1", "localhost"))

    assert resumed == [False, False]


async def test_a_site_that_knows_the_session_no_more_shows_its_certificate_again(authority, pair):
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(transport(authority))
        async with site(server_context(pair)) as (url, _):
            await get(sender, url)
        port = int(url.rpartition(":")[2].strip("/"))
        _, resumed = await stack.enter_async_context(site(server_context(pair), port))
        assert [await get(sender, url) for _ in range(2)] == 2 * [(200, b"whole")]

    assert resumed == [False, True]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_site_that_breaks_resumed_connections_gets_whole_handshakes(
    authority, pair, version, monkeypatch
):
    """Else each request of an hour would fail, of an organization that works without sessions."""
    clock = [0.0]
    monkeypatch.setattr(tls_sessions, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    resumed = []

    async def serve(reader, writer):
        resumed.append(writer.get_extra_info("ssl_object").session_reused)
        if not resumed[-1]:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ONCE)
        writer.close()

    context = server_context(pair, version)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as listening:
        url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        async with transport(authority) as sender:
            await get(sender, url)
            with pytest.raises(httpx.TransportError):
                await get(sender, url)
            for clock[0] in (0.9 * tls_sessions.SESSION_SECONDS, 1.1 * tls_sessions.SESSION_SECONDS):
                assert await get(sender, url) == (200, b"whole")

    assert resumed == [False, True, False, False]


async def test_a_site_that_breaks_off_the_handshake_gets_whole_ones(authority, pair):
    """Such a server breaks off before the client knows that its session counts."""
    async with site(server_context(pair)) as (url, _), transport(authority) as sender:
        await get(sender, url)
        port = int(url.rpartition(":")[2].strip("/"))
        host = "https", "127.0.0.1", port
        assert sender._sessions.context_for(host) is not sender._sessions.context
    async with (
        await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port),
        transport(authority) as other,
    ):
        other._sessions = sender._sessions
        with pytest.raises(httpx.ConnectError):
            await get(other, url)

    assert sender._sessions.context_for(host) is sender._sessions.context


async def test_a_certificate_is_looked_at_again_after_the_time_of_a_session(authority, pair, monkeypatch):
    """Resuming a session does not prolong it, or a certificate that has expired would never be noticed."""
    clock = [0.0]
    monkeypatch.setattr(tls_sessions, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    async with site(server_context(pair)) as (url, resumed), transport(authority) as sender:
        for at in (0.0, 0.9, 1.1, 1.9):
            clock[0] = at * tls_sessions.SESSION_SECONDS
            await get(sender, url)

    assert resumed == [False, True, False, True]


async def test_sessions_are_bounded(authority, pair):
    """The session that ends first goes for a newer one; a host that broke without one may have one later."""
    async with site(server_context(pair)) as (url, _), transport(authority) as sender:
        await get(sender, url)
        (session, _), *_ = sender._sessions._kept.values()
    bounded = TlsSessions(sender._sessions.context, most=2)
    bounded.note_broken(("https", "site0", None))
    for number in (0, 1, 0, 2):
        bounded.keep(("https", f"site{number}", None), _Connection(session))

    assert [name for _, name, _ in bounded._kept] == ["site0", "site2"]
    assert bounded.context_for(("https", "site0", None)) is not bounded.context


class _Connection:
    session_reused = False

    def __init__(self, session):
        self.session = session
