"""Certificates whose files change while a client runs."""

import asyncio
import shutil
import ssl
from contextlib import asynccontextmanager

import httpx
import pytest
from structlog.testing import capture_logs

from consumer.destinations.certificate_settings import CertificateSettings
from consumer.destinations.connection import open_client, tls_context
from relay.direct_transport import KeptConnections
from relay.errors import RelayError
from relay.http import create_tls_context, open_transport
from tests.support.certificates import CertificateAuthority

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Server:
    """A server by TLS whose certificate a test replaces; each connection is answered once."""

    def __init__(self):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.url = ""

    def use(self, pair, clients=None):
        """Serve with this certificate from now on. `clients`: the authority of the client certificates that it requires."""
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.load_cert_chain(pair.certificate, pair.key)
        if clients is not None:
            fresh.verify_mode = ssl.CERT_REQUIRED
            fresh.load_verify_locations(clients.file)
        self.context.sni_callback = lambda found, *_: setattr(found, "context", fresh)


@asynccontextmanager
async def serving(pair):
    server = Server()
    server.context.load_cert_chain(pair.certificate, pair.key)
    server.use(pair)

    async def answer(reader, writer):
        with_head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
        if with_head:
            writer.write(ANSWER)
        writer.close()

    listener = await asyncio.start_server(answer, "localhost", 0, ssl=server.context)
    server.url = f"https://localhost:{listener.sockets[0].getsockname()[1]}/"
    try:
        yield server
    finally:
        listener.close()


@pytest.mark.parametrize("kept", [None, KeptConnections(1, 5.0)], ids=["httpx", "direct"])
async def test_a_client_trusts_the_authority_that_its_file_has_now(tmp_path, kept):
    """Before the switch the new one is refused, after it the old one; a half-written file changes nothing and is named once."""
    old, new = CertificateAuthority(tmp_path, "old"), CertificateAuthority(tmp_path, "new")
    file = tmp_path / "ca.pem"
    shutil.copy(old.file, file)
    async with serving(old.issue("first")) as server:
        transport = open_transport(create_tls_context(file), kept=kept)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            assert (await client.get(server.url)).status_code == 200
            server.use(new.issue("second"))
            with capture_logs() as lines:
                for text in (old.file.read_text(), "-----BEGIN CERT", "-----BEGIN CERTIFI"):
                    file.write_text(text)
                    with pytest.raises(httpx.ConnectError):
                        await client.get(server.url)
                server.context.num_tickets = 0  # without a session, each connection shows the certificate
                shutil.copy(new.file, file)
                assert (await client.get(server.url)).status_code == 200
            assert [each["log_level"] for each in lines] == ["warning", "info"]
            server.use(old.issue("third"))
            with pytest.raises(httpx.ConnectError):
                await client.get(server.url)


async def test_a_destination_logs_in_with_the_client_certificate_that_its_files_have_now(tmp_path):
    """No refused request is needed for it; a certificate without its new key leaves the former pair."""
    authority, clients = CertificateAuthority(tmp_path, "ca"), CertificateAuthority(tmp_path, "clients")
    pair, former = authority.issue("server"), authority.issue("former")
    own = CertificateSettings(
        ca_file=authority.file, certificate_file=former.certificate, key_file=former.key
    )
    renewed = clients.issue("renewed")
    async with serving(pair) as server:
        context = tls_context("siem", own)
        async with open_client(context, 1) as client:
            server.use(pair, authority)
            assert (await client.get(server.url)).status_code == 200
            shutil.copy(renewed.certificate, former.certificate)
            assert (await client.get(server.url)).status_code == 200
            with pytest.raises(RelayError, match=r"destinations\.siem\.certificate_file or its key_file"):
                context.reload()
            shutil.copy(renewed.key, former.key)
            server.use(pair, clients)
            assert (await client.get(server.url)).status_code == 200


async def test_a_session_of_the_former_certificates_is_not_resumed(tmp_path):
    """A resumed session asks for no certificate, so one of an authority that is no longer trusted would go on."""
    authority = CertificateAuthority(tmp_path, "ca")
    async with serving(authority.issue("server")) as server:
        context = create_tls_context(authority.file)
        port = int(server.url.rpartition(":")[2].strip("/"))
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
        session = writer.get_extra_info("ssl_object").session
        writer.close()
        authority.file.write_bytes(authority.file.read_bytes() + b"\n")
        resumed = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), False, "localhost", session)
        assert resumed.session is None
        assert reader is not None


def test_each_fault_of_a_file_is_named_also_where_the_same_file_came_back(tmp_path):
    """An operator who moves a file away and back has changed nothing; the second time is news again."""
    file = CertificateAuthority(tmp_path, "ca").file
    context, away = create_tls_context(file), tmp_path / "away"
    first = context.current()
    with capture_logs() as lines:
        for _ in range(2):
            file.rename(away)
            assert context.current() is context.current() is first
            away.rename(file)
            assert context.current() is first
    assert [each["log_level"] for each in lines] == ["warning", "info", "warning", "info"]
