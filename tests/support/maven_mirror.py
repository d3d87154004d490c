"""A Maven repository on loopback with the files of a test, and with faults."""

import asyncio
import hashlib
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from embedded.artifacts import Artifact


def make_artifact(name, content):
    coordinate = f"org.example:{name}:jar:1.0"
    return Artifact(coordinate, len(content), hashlib.sha512(content).hexdigest())


class FakeMavenRepository:
    """Serves `files`, by path. It truncates the answer to a path once for each time that `cut_off_once` has the path."""

    def __init__(self):
        self.files = {}
        self.cut_off_once = []
        self.requests = []
        self.url = ""
        self._first = asyncio.Event()

    async def wait_for_request(self):
        async with asyncio.timeout(10):
            await self._first.wait()

    def put(self, name, content):
        made = make_artifact(name, content)
        self.files[made.path] = content
        return made

    async def answer(self, request):
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
            request.transport.close()
        else:
            await response.write(content)
        return response


@asynccontextmanager
async def running_repository():
    mirror = FakeMavenRepository()
    application = web.Application()
    application.router.add_get("/maven/{path:.*}", mirror.answer)
    async with TestServer(application) as server:
        mirror.url = str(server.make_url("/maven"))
        yield mirror
