"""An HTTP proxy on this machine, in front of hosts that exist nowhere."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.certificates import CertificateAuthority


class ConnectProxy:
    """Answers CONNECT, opens TLS in place of the host, and passes the bytes on to a port of this machine.

    `authorization`: the header Proxy-Authorization that it wants; None: none is wanted.
    """

    def __init__(self, hosts: Mapping[str, int], context: ssl.SSLContext) -> None:
        self.hosts = hosts
        self.context = context
        self.authorization: str | None = None
        self.requests: list[str] = []
        """The first line of each request, and its Proxy-Authorization if it has one."""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):  # SSLError is an OSError
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *headers = head.split("\r\n")
            self.requests += [line, *(each for each in headers if each.lower().startswith("proxy-auth"))]
            method, target, _ = line.split(" ")
            port = self.hosts.get(target.rpartition(":")[0])
            given = [each.partition(": ")[2] for each in headers if each.lower().startswith("proxy-auth")]
            if self.authorization is not None and given != [self.authorization]:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            elif method != "CONNECT" or port is None:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await writer.drain()
                await writer.start_tls(self.context)
                await _tunnel(reader, writer, port)
        writer.close()


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", port)
    tasks = [
        asyncio.create_task(_copy(reader, upstream_writer)),
        asyncio.create_task(_copy(upstream_reader, writer)),
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    upstream_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def running_proxy(
    directory: Path, hosts: Mapping[str, int]
) -> AsyncIterator[tuple[ConnectProxy, Path]]:
    """Yield a proxy in front of `hosts`, each with its port on this machine, and the file of the CA to trust."""
    authority = CertificateAuthority(directory, "proxy-ca")
    issued = authority.issue("proxied", tuple(hosts))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    proxy = ConnectProxy(hosts, context)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy, authority.file
    finally:
        server.close()
