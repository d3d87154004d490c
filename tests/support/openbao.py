"""OpenBao, a server of Vault's API that others wrote, as a process of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from embedded.ports import pick_free_port
from relay.http import create_tls_context
from tests.support.certificates import CertificateAuthority
from tests.support.real_servers import running

INSTALL = (
    "git clone --branch v2.6.2 https://github.com/openbao/openbao && cd openbao && go build -o ~/go/bin/bao ."
)


class OpenBao:
    """An operator's side of a server. `root`: its first token."""

    def __init__(self, url: str, ca_file: Path) -> None:
        self.url, self.ca_file, self.root = url, ca_file, ""
        self._unseal_key = ""
        self._http = httpx.AsyncClient(
            verify=create_tls_context(ca_file), base_url=f"{url}/v1/", trust_env=False
        )

    async def start(self) -> None:
        """Initialize and unseal a new server."""
        keys = await self.write("sys/init", secret_shares=1, secret_threshold=1)
        self.root, self._unseal_key = keys["root_token"], keys["keys_base64"][0]
        await self.unseal()

    async def seal(self) -> None:
        await self.write("sys/seal")

    async def unseal(self) -> None:
        await self.write("sys/unseal", key=self._unseal_key)

    async def mount(self, path: str, kind: str, namespace: str = "", **content: Any) -> None:
        """Mount an engine, or a login below `auth/`."""
        place = path if path.startswith("auth/") else f"mounts/{path}"
        await self.write(f"sys/{place}", namespace=namespace, type=kind, **content)

    async def write(self, path: str, method: str = "POST", namespace: str = "", **content: Any) -> Any:
        """Make a request as the first token, and return what it answers."""
        headers = {"X-Vault-Token": self.root} | ({"X-Vault-Namespace": namespace} if namespace else {})
        answer = await self._http.request(method, path, headers=headers, json=content)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else {}

    async def close(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def openbao(directory: Path) -> AsyncIterator[OpenBao]:
    """Run a server in memory, with TLS of an authority of its own; skip the test where the program is absent."""
    authority, port = CertificateAuthority(directory, "openbao"), pick_free_port()
    pair = authority.issue("server")
    config = directory / "openbao.hcl"
    config.write_text(
        f'storage "inmem" {{}}\nlistener "tcp" {{\n  address = "127.0.0.1:{port}"\n'
        f'  tls_cert_file = "{pair.certificate}"\n  tls_key_file = "{pair.key}"\n}}\n'
        f'api_addr = "https://127.0.0.1:{port}"\ndisable_mlock = true\n'
    )
    async with running("bao", INSTALL, port, "server", f"-config={config}"):
        server = OpenBao(f"https://127.0.0.1:{port}", authority.file)
        try:
            await server.start()
            yield server
        finally:
            await server.close()
