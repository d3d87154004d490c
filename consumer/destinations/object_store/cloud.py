"""A bucket or container as a store, through obstore: S3, Azure Blob Storage, Google Cloud Storage."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from consumer.destinations.object_store.response import (
    EMPTY_RANGE,
    fault_status,
    is_refusal,
    no_credential,
    store_fault,
)
from consumer.destinations.object_store.store import Part, StoreFault
from consumer.destinations.outcome import Paused
from relay.credentials.redaction import Redactor
from relay.errors import RelayError
from relay.file_stamps import file_stamps
from relay.followed_value import FollowedValue
from relay.proxies import Proxy

T = TypeVar("T")

CONTENT_TYPE = "application/vnd.apache.parquet"
PAGE = 1_000
"""Names that one request lists, in all three clouds."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A client of obstore, with the secrets that no message may show."""

    client: Any
    secrets: tuple[str, ...] = ()
    close: Callable[[], Awaitable[None]] | None = None
    credential_fault: Callable[[], str | None] = lambda: None
    """Return why the last request had no credential; None: it had one, or obstore knows."""
    proxy: Proxy | None = None
    """The proxy that requests go through."""


class CloudStore:
    """Objects below the prefix of one bucket. A call is one request, and another one after a refusal: credentials are read again.

    `open_client` reads files and variables; it is called at once, after each refusal, and when one of `ca_files` has changed,
    since obstore reads certificates once.
    """

    def __init__(
        self, open_client: Callable[[], Opened], url: str, name: str, ca_files: Sequence[Path] = ()
    ) -> None:
        self._followed = FollowedValue(
            "Certificate files", lambda: file_stamps(ca_files), open_client, {"destination": name}
        )
        self._url = url
        self._name = name
        self._redact = Redactor()
        self._opened: Opened | None = self._followed.current()

    async def create(self, key: str, content: bytes) -> bool:
        async def put(client: Any) -> bool:
            try:
                await obstore.put_async(
                    client,
                    key,
                    content,
                    mode="create",
                    use_multipart=False,
                    attributes={"Content-Type": CONTENT_TYPE},
                )
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        return await self._call(put)

    async def read(self, key: str, start: int, stop: int) -> Part | None:
        async def get(client: Any) -> Part | None:
            try:
                found = await obstore.get_async(client, key, options={"range": (start, stop)})
                return Part(bytes(await found.bytes_async()), found.meta["size"])
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                    raise
                return None
            except BaseError as error:
                if start == 0 and fault_status(error) == EMPTY_RANGE:
                    return Part(b"", 0)
                raise

        return await self._call(get)

    async def names(self, folder: str, after: str) -> AsyncIterator[str]:
        async def begin(client: Any) -> tuple[Any, Any]:
            pages = obstore.list(client, folder, offset=f"{folder}/{after}", chunk_size=PAGE)
            return pages, await _next_page(pages)

        pages, page = await self._call(begin)
        while page:
            for each in page:
                name = each["path"].removeprefix(f"{folder}/")
                if name > after:  # some stores begin at the name, or ignore where to begin
                    yield name
            page = await self._call(lambda _: _next_page(pages))

    async def folders(self, folder: str) -> list[str]:
        async def get(client: Any) -> list[str]:
            found = await obstore.list_with_delimiter_async(client, folder or None)
            return sorted(path.rpartition("/")[2] for path in found["common_prefixes"])

        return await self._call(get)

    async def delete(self, key: str) -> None:
        try:
            await self._call(lambda client: obstore.delete_async(client, key))
        except StoreFault:
            return

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        await _close(opened)

    async def _call(self, request: Callable[[Any], Awaitable[T]]) -> T:
        try:
            return await self._attempt(request)
        except (BaseError, OSError, ValueError) as error:
            if not is_refusal(error):
                raise self._fault(error) from error
        await self.close()  # its credential may have been replaced
        try:
            return await self._attempt(request)
        except (BaseError, OSError, ValueError) as error:
            if is_refusal(error):
                await self.close()
            raise self._fault(error) from error

    async def _attempt(self, request: Callable[[Any], Awaitable[T]]) -> T:
        opened = await self._open()
        for secret in opened.secrets:
            self._redact.add(secret)
        return await request(opened.client)

    async def _open(self) -> Opened:
        """Return the client of a request that begins now: another one after a refusal, or once its certificates have changed."""
        if self._opened is None:
            try:
                self._followed.reload()
            except RelayError as error:
                raise StoreFault(Paused(str(error))) from error
        opened = self._followed.current()
        if opened is not self._opened:
            former, self._opened = self._opened, opened  # before the wait, in which other requests begin
            await _close(former)
        return opened

    def _fault(self, error: Exception) -> StoreFault:
        cause = None if self._opened is None else self._opened.credential_fault()
        if cause is not None:
            return StoreFault(no_credential(self._redact(cause), self._name))
        proxy = None if self._opened is None else self._opened.proxy
        return StoreFault(store_fault(error, self._url, self._name, self._redact, proxy))


async def _close(opened: Opened | None) -> None:
    if opened is not None and opened.close is not None:
        await opened.close()


async def _next_page(pages: Any) -> Any:
    """Return the next page of a listing, empty at its end. The built-in `anext` with a default fails on obstore's streams."""
    try:
        return await pages.__anext__()
    except StopAsyncIteration:
        return ()
