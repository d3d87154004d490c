"""Responses that decompress to more than the limit, or to nothing."""

import asyncio
import gzip
import zlib
from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.sources.errors import ErrorKind, SourceFailure
from relay.config.schema_registry import SchemaRegistryConfig
from relay.http import open_transport
from relay.http_body import PIECE_BYTES, bounded
from relay.schema_registry.client import Unavailable, open_schema_registry
from simulators import faults
from simulators.jira_cloud.world import JiraWorld
from tests.support.jira_endpoints import NOW, at_site, fetch_page


class Chunks(httpx.AsyncByteStream):
    def __init__(self, *chunks):
        self._chunks = chunks
        self.closed = False

    async def __aiter__(self):
        for chunk in self._chunks:
            yield chunk

    async def aclose(self):
        self.closed = True


def raw_deflate(body):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def two_members(body):
    return gzip.compress(body[:3]) + gzip.compress(body[3:])


PACKERS = [
    ("gzip", gzip.compress),
    ("X-GZIP", two_members),
    ("gzip", lambda body: gzip.compress(body) + bytes(20)),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("identity", bytes),
    ("", bytes),
    ("utf-8", bytes),
]


async def pieces_of(encoding, *chunks, max_bytes=10**9):
    headers = {"Content-Encoding": encoding, "Content-Length": str(sum(map(len, chunks)))}
    response = bounded(httpx.Response(200, headers=headers, stream=Chunks(*chunks)), max_bytes)
    return [piece async for piece in response.aiter_bytes()]


@given(st.sampled_from(PACKERS), st.binary(max_size=300), st.integers(1, 40))
def test_a_compressed_response_is_decompressed_whatever_its_chunks(packer, body, size):
    """Each packing, with or without zlib's header, in several members or with padding."""
    encoding, pack = packer
    compressed = pack(body)
    chunks = [compressed[start : start + size] for start in range(0, len(compressed), size)]
    assert b"".join(asyncio.run(pieces_of(encoding, *chunks))) == body


async def test_a_bomb_is_decompressed_in_small_pieces_up_to_the_limit():
    """One chunk of a megabyte holds a gigabyte; no piece is larger than a megabyte, and reading stops."""
    bomb = gzip.compress(bytes(200_000_000), 1)
    headers = {"Content-Encoding": "gzip"}
    response = bounded(httpx.Response(200, headers=headers, stream=Chunks(bomb)), 3_000_000)
    sizes = []

    async def read():
        async for piece in response.aiter_bytes():
            sizes.append(len(piece))  # noqa: PERF401 - the sizes before the error count

    with pytest.raises(httpx.DecodingError, match="more than 3000000 bytes"):
        await read()
    assert sizes
    assert max(sizes) <= PIECE_BYTES


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip, gzip", gzip.compress(gzip.compress(b"x")), "not requested"),
        ("br", b"x", "not requested"),
        ("zstd", b"x", "not requested"),
        ("gzip", b"<html>", "cannot be decompressed"),
        ("deflate", b"<html>", "cannot be decompressed"),
        ("gzip", gzip.compress(b"x" * 99)[:-3], "truncated"),
    ],
    ids=["two layers", "brotli", "zstandard", "HTML as gzip", "HTML as deflate", "truncated"],
)
async def test_a_response_that_is_not_compressed_as_it_says_is_refused(encoding, body, reason):
    """The error names the reason; it is one that every caller catches."""
    with pytest.raises(httpx.DecodingError, match=reason):
        await pieces_of(encoding, body)


async def test_closing_an_answer_closes_its_connection():
    stream = Chunks(b"x")
    await bounded(httpx.Response(200, stream=stream), 10).aclose()
    assert stream.closed


@asynccontextmanager
async def serving(body):
    """Serve one response, compressed with gzip, to each request."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_bomb_of_any_peer_is_a_named_failure():
    """Registry and login server share the transport; its default limit holds for both."""
    async with serving(gzip.compress(bytes(100_000_000), 1)) as url:
        async with httpx.AsyncClient(transport=open_transport(), trust_env=False, timeout=60) as client:
            with pytest.raises(httpx.DecodingError, match="more than 16777216 bytes"):
                await client.get(url)
        async with open_schema_registry(SchemaRegistryConfig(url=url)) as registry:
            found = await registry.compatibility_level("x")
    assert isinstance(found, Unavailable)
    assert (
        "cannot be used: the response has more than 4194304 bytes. Check schema_registry.url" in found.reason
    )


async def test_a_bomb_of_jira_is_a_page_that_is_too_large():
    """The next request asks for fewer records."""
    async with JiraWorld(seed=1, clock=lambda: NOW) as world:
        site = await world.add_site("acme")
        bomb = gzip.compress(bytes(100_000_000), 1)
        site.fault(faults.respond_with(200, bomb, headers={"Content-Encoding": "gzip"}))
        async with open_transport() as client:
            found = await fetch_page(client, at_site(site), max_bytes=1_000_000)
    assert isinstance(found, SourceFailure)
    assert found.kind is ErrorKind.TOO_LARGE
