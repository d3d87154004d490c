import asyncio
import base64
import json
import socket
import ssl

import pytest
from pydantic import SecretStr

from relay.avro.codec import SchemaId
from relay.config.file_secret import FileSecret
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.schema_registry.client import (
    Missing,
    RegistryTiming,
    Unavailable,
    open_schema_registry,
)
from tests.support.certificates import CertificateAuthority


async def listening(reply, tls=None):
    """Return a server on a free port, and its URL; `reply(reader, writer)` serves a connection."""
    server = await asyncio.start_server(reply, "127.0.0.1", 0, ssl=tls)
    return server, f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_the_password_is_sent_to_the_registry_and_in_no_error():
    seen = []

    async def refuse(reader, writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server, url = await listening(refuse)
    settings = SchemaRegistryConfig(url=url, username="relay", password=SecretStr("hunter2"))
    async with server, open_schema_registry(settings) as registry:
        answer = await registry.by_id(SchemaId(7))
    assert b"Basic " + base64.b64encode(b"relay:hunter2") in seen[0]
    assert "hunter2" not in repr(answer)


async def test_a_password_that_the_registry_repeats_is_not_reported():
    """The password is removed as it is and as Basic sends it, wherever the message is cut."""
    password = "hunter2-of-the-registry"
    sent = base64.b64encode(f"relay:{password}".encode()).decode()

    async def repeat(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        said = json.dumps({"message": "." * 490 + password + sent}).encode()
        writer.write(b"HTTP/1.1 500 Oh\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
        await writer.drain()
        writer.close()

    server, url = await listening(repeat)
    settings = SchemaRegistryConfig(url=url, username="relay", password=SecretStr(password))
    async with server, open_schema_registry(settings) as registry:
        answer = await registry.by_id(SchemaId(7))
    assert "......" in answer.reason
    assert "hunt" not in answer.reason


async def test_a_redirect_is_not_followed():
    asked = []

    async def redirect(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server, url = await listening(redirect)
    async with server, open_schema_registry(SchemaRegistryConfig(url=url)) as registry:
        assert isinstance(await registry.by_id(SchemaId(7)), Unavailable)
    assert len(asked) == 1


async def test_an_unreachable_registry_is_unavailable():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with open_schema_registry(SchemaRegistryConfig(url=url)) as registry:
            answer = await registry.by_id(SchemaId(7))
    assert isinstance(answer, Unavailable)
    assert f"{url} does not answer" in answer.reason


async def test_an_endless_answer_times_out():
    held = asyncio.Event()

    async def trickle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await held.wait()
        writer.close()

    server, url = await listening(trickle)
    settings, timing = SchemaRegistryConfig(url=url), RegistryTiming(total_seconds=0.3)
    async with server, open_schema_registry(settings, timing) as registry:
        answer = await registry.by_id(SchemaId(7))
        held.set()
    assert answer == Unavailable(
        f"The schema registry at {url} does not answer: TimeoutError. Check that it runs, and schema_registry.url."
    )


async def test_only_a_certificate_of_the_ca_file_is_trusted(tmp_path):
    async def miss(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"error_code": 40403, "message": "Schema not found"}'
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    authority = CertificateAuthority(tmp_path, "registry-ca")
    issued = authority.issue("registry")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(issued.certificate, issued.key)
    server, url = await listening(miss, tls)
    async with server:
        async with open_schema_registry(SchemaRegistryConfig(url=url, ca_file=authority.file)) as registry:
            assert isinstance(await registry.by_id(SchemaId(7)), Missing)
        async with open_schema_registry(SchemaRegistryConfig(url=url)) as registry:
            answer = await registry.by_id(SchemaId(7))
    assert isinstance(answer, Unavailable)
    assert "certificate verify failed" in answer.reason


async def test_the_error_of_an_unreadable_ca_file_names_the_setting(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(RelayError, match=r"schema_registry\.ca_file"):
        async with open_schema_registry(SchemaRegistryConfig(url="https://registry.invalid", ca_file=file)):
            pass


async def test_a_new_password_of_the_registry_is_sent_without_a_restart(tmp_path):
    """The file has another password by the second call, and the refusal of the first one is reported without either."""
    seen = []

    async def refuse(reader, writer):
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    file = tmp_path / "password"
    file.write_text("hunter2")
    server, url = await listening(refuse)
    password = FileSecret("schema_registry.password_file", file, "hunter2")
    settings = SchemaRegistryConfig(url=url, username="relay", password=password)
    async with server, open_schema_registry(settings) as registry:
        await registry.by_id(SchemaId(7))
        file.write_text("hunter3")
        answer = await registry.by_id(SchemaId(7))
    for request, text in zip(seen, (b"relay:hunter2", b"relay:hunter3"), strict=True):
        assert b"Basic " + base64.b64encode(text) in request
    assert "hunter" not in repr(answer)
