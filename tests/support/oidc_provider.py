"""The certified identity provider `oidc-provider`, where the machine has Node.js and the package."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

VERSION = "9.13.3"
_PREFIX = Path("~/.cache/jira-audit-relay/oidc-provider")
_SCRIPT = Path(__file__).with_suffix(".mjs")

COMMAND = f"npm install --prefix {_PREFIX} oidc-provider@{VERSION}"


@asynccontextmanager
async def running_provider(redirect_uri: str) -> AsyncIterator[str]:
    """Yield the issuer of a provider that runs. Skips the test without it; it starts in a second."""
    folder = _folder()
    node = shutil.which("node")
    if node is None or not _has_version(folder):
        pytest.skip(f"the identity provider is not installed: install Node.js, then {COMMAND}")
    process = await asyncio.create_subprocess_exec(
        node,
        str(_SCRIPT),
        str(folder),
        redirect_uri,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            issuer = (await process.stdout.readline()).decode().strip()
        assert issuer, "the provider ended"
        yield issuer
    finally:
        process.kill()
        await process.wait()


async def sign_in(url: str, person: str, redirect_uri: str) -> dict[str, str]:
    """Fill the forms of login and consent as a person does; return the query of the redirect to the console."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as browser:
        response = await browser.get(url)
        for _ in range(20):
            if response.is_redirect:
                url = urljoin(url, response.headers["location"])
                if url.startswith(redirect_uri):
                    return dict(httpx.URL(url).params)
                response = await browser.get(url)
                continue
            action = re.search(r'<form[^>]*action="([^"]+)"', response.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', response.text)
            assert action, response.text
            assert prompt, response.text
            url = urljoin(url, action[1])
            fields = {"prompt": prompt[1]}
            if prompt[1] == "login":
                fields |= {"login": person, "password": "x"}
            response = await browser.post(url, data=fields)
    raise AssertionError(f"no redirect to the console: {url}")


def _folder() -> Path:
    return _PREFIX.expanduser() / "node_modules" / "oidc-provider"


def _has_version(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / "package.json").read_text("utf-8"))["version"] == VERSION)
    except (OSError, ValueError, KeyError):
        return False
