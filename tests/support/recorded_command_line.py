"""The command line with a defect on demand, and all of its output."""

import asyncio
import json
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.command_line import run_command

# `jira-relay` with a defect: once a file `break` exists, the next request with a key raises an error whose text has the key.
PROGRAM = """
import pathlib, sys
from producer.sources.jira_cloud import request as jira
from cli.app import main

read, broken = jira._read_response, pathlib.Path("break")

async def breaking(client, url, headers, query, *bounds):
    if broken.exists() and "Authorization" in headers:
        broken.unlink()
        raise ValueError(f"deep inside: {headers}")
    return await read(client, url, headers, query, *bounds)

jira._read_response = breaking
main(sys.argv[1:])
"""


class RecordedCommandLine:
    """Runs commands with these environment variables, and collects their output."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.directory = directory
        self.environ = dict(environ)
        self.output = ""

    async def __call__(self, *arguments: str, stdin_text: str = "", code: int = 0) -> str:
        """Run a command in this process; return its output. Fails the test when it ends with another code."""
        result = await asyncio.to_thread(run_command, list(arguments), stdin_text.encode())
        return self._record(result.out, result.err, result.code, code)

    async def run_process(self, *arguments: str, code: int = 0, **environ: str) -> str:
        """Run a command as a process with further variables; return its output."""
        pipe = asyncio.subprocess.PIPE
        process = await self._start(arguments, stdout=pipe, stderr=pipe, env=self.environ | environ)
        out, err = await process.communicate()
        return self._record(out.decode(), err.decode(), process.returncode, code)

    @asynccontextmanager
    async def up(self) -> AsyncIterator[Process]:
        """Run `jira-relay up` as a process whose output goes to `up.log`."""
        with (self.directory / "up.log").open("wb") as log:
            process = await self._start(["up"], stdout=log, stderr=log, env=self.environ)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _start(self, arguments: Iterable[str], **options: Any) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            cwd=self.directory,
            **options,
        )

    def _record(self, out: str, err: str, code: int | None, expected: int) -> str:
        self.output += out + err
        assert code == expected, out + err
        return out + err

    async def read_json(self, *arguments: str) -> Any:
        """Run a command with --json; return its output as a value."""
        return json.loads(await self(*arguments, "--json"))

    def read_log(self) -> str:
        """Return the output of `up` so far."""
        return (self.directory / "up.log").read_text()
