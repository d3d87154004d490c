"""Bodies of HTTP responses, decompressed piece by piece: a megabyte on the wire may decompress to a gigabyte."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator

import httpx

ACCEPT_ENCODING = "gzip, deflate"
PIECE_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_FORMATS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_CONTENT_ENCODINGS = {*_FORMATS, "br", "zstd", "compress"}


def bounded(response: httpx.Response, max_bytes: int) -> httpx.Response:
    """Return the response with its body decompressed in pieces of at most a megabyte.

    Reading it raises httpx.DecodingError after `max_bytes`, and for a body that is not compressed as its header says. Only
    one layer of gzip or deflate is decompressed, since each further one multiplies the size.
    """
    names = response.headers.get("Content-Encoding", "").lower().split(",")
    encodings = [name for name in map(str.strip, names) if name in _CONTENT_ENCODINGS]
    headers = [
        (name, value)
        for name, value in response.headers.raw
        if not encodings or name.lower() not in {b"content-encoding", b"content-length"}
    ]
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the response of an asynchronous transport has an asynchronous stream")
    return httpx.Response(
        response.status_code,
        headers=headers,
        stream=_BoundedBody(stream, encodings, max_bytes),
        extensions=response.extensions,
    )


class _BoundedBody(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, encodings: list[str], max_bytes: int) -> None:
        self._stream = stream
        self._encodings = encodings
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._pieces():
            size += len(piece)
            if size > self._max_bytes:
                raise httpx.DecodingError(f"the response has more than {self._max_bytes} bytes")
            yield piece

    async def _pieces(self) -> AsyncIterator[bytes]:
        if not self._encodings:
            async for chunk in self._stream:
                yield chunk
            return
        inflater = _open_inflater(self._encodings)
        async for chunk in self._stream:
            for piece in inflater.feed(chunk):
                yield piece
                await asyncio.sleep(0)  # other tasks run between the pieces of one chunk
        inflater.finish()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _open_inflater(encodings: list[str]) -> "_Inflater":
    if len(encodings) > 1 or encodings[0] not in _FORMATS:
        raise httpx.DecodingError(
            f"the response has Content-Encoding {', '.join(encodings)}, which was not requested"
        )
    return _Inflater(_FORMATS[encodings[0]])


class _Inflater:
    """Decompresses one layer. A gzip file may have several members; "deflate" is with or without zlib's header."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._member: zlib._Decompress | None = None
        """None: the next one begins with the next two bytes."""
        self._members = 0
        self._held = b""
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed bytes, in pieces. Raises httpx.DecodingError."""
        data, self._held = self._held + data, b""
        while data and not self._ended:
            member = self._member or self._begin_member(data)
            if member is None:
                return
            piece, data = self._inflate(member, data)
            if piece:
                yield piece

    def finish(self) -> None:
        """Raise httpx.DecodingError if the compressed body is truncated."""
        if self._member is not None or (self._held and not self._members):
            raise httpx.DecodingError("the compressed response is truncated")

    def _begin_member(self, data: bytes) -> "zlib._Decompress | None":
        """Begin a member, if these bytes suffice to know its format; bytes after the last one are padding."""
        if len(data) < 2:
            self._held = data
            return None
        if self._members and not data.startswith(_GZIP_MAGIC):
            self._ended = True
            return None
        bits = self._window_bits
        if bits == zlib.MAX_WBITS and not _has_zlib_header(data):
            bits = -bits
        self._member = zlib.decompressobj(bits)
        self._members += 1
        return self._member

    def _inflate(self, member: "zlib._Decompress", data: bytes) -> tuple[bytes, bytes]:
        """Return the next piece, and the compressed bytes that remain."""
        try:
            piece = member.decompress(data, PIECE_BYTES)
        except zlib.error as error:
            raise httpx.DecodingError(f"the response cannot be decompressed: {error}") from error
        if not member.eof:
            return piece, member.unconsumed_tail
        self._member = None
        return piece, member.unused_data


def _has_zlib_header(data: bytes) -> bool:
    """Return whether the data begins as zlib's. RFC 1950, 2.2: the method is 8, and the first two bytes are a multiple of 31."""
    return data[0] & 15 == 8 and (data[0] * 256 + data[1]) % 31 == 0
