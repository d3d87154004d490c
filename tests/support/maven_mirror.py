"""A Maven repository on loopback, which serves given files and cuts off given requests."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from embedded.artifacts import Artifact


def make_artifact(name: str, content: bytes) -> Artifact:
    coordinate = f"org.example:{name}:jar:1.0"
    return Artifact(coordinate, len(content), hashlib.sha512(content).hexdigest())


class FakeMavenRepository:
    """Serves `files` by path; cuts off the answer for a path in `cut_off_once`, once for each entry."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut_off_once: list[str] = []
        self.requests: list[str] = []
        self.url = ""
        self._first = asyncio.Event()

    async def wait_for_request(self) -> None:
        async with asyncio.timeout(60):
            await self._first.wait()

    def put(self, name: str, content: bytes) -> Artifact:
        made = make_artifact(name, content)
        self.files[made.path] = content
        return made

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        self.requests.append(path)
        self._first.set()
        if path not in self.files:
            raise web.HTTPNotFound
        content = self.files[path]
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        if path in self.cut_off_once:
            self.cut_off_once.remove(path)
            await response.write(content[: len(content) // 2])
            if request.transport is not None:
                request.transport.close()
        else:
            await response.write(content)
        return response


@asynccontextmanager
async def running_repository() -> AsyncIterator[FakeMavenRepository]:
    mirror = FakeMavenRepository()
    application = web.Application()
    application.router.add_get("/maven/{path:.*}", mirror.answer)
    async with TestServer(application) as server:
        mirror.url = str(server.make_url("/maven"))
        yield mirror
