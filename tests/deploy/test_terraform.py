"""`deploy/terraform` against a console: an organization is added, left as it is, changed and deleted.

Needs Terraform or OpenTofu, and the provider: `go install github.com/Mastercard/terraform-provider-restapi@v1.20.0`, with its
program moved to `~/.cache/jira-audit-relay/terraform/terraform-provider-restapi_v1.20.0`.
"""

import asyncio
import json
import os
import platform
import shutil
import socket
from pathlib import Path

import pytest

from console.api_tokens import ApiTokens, add_to_file, make_token
from console.permissions import AccessRole
from console.server import run_console
from relay.kafka.topic_admin import create_missing_topics
from relay.timestamps import now_ms
from tests.support.console import open_console
from tests.support.kafka import connection_to
from tests.support.organizations import read_change_log

ROOT = Path(__file__).parents[2]
VERSION = "1.20.0"
PROVIDER = Path(f"~/.cache/jira-audit-relay/terraform/terraform-provider-restapi_v{VERSION}").expanduser()
PROGRAM = shutil.which("tofu") or shutil.which("terraform")
pytestmark = [
    pytest.mark.skipif(
        PROGRAM is None or not PROVIDER.exists(),
        reason="needs tofu or terraform, and the provider: the docstring of tests/deploy/test_terraform.py has the command",
    ),
    pytest.mark.timeout(300),
]
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def prepare(folder):
    """Copy the configuration, and make a mirror that has the provider for both programs."""
    shutil.copy(ROOT / "deploy/terraform/main.tf", folder)
    target = f"{platform.system().lower()}_{MACHINES[platform.machine()]}"
    for registry in ("registry.terraform.io", "registry.opentofu.org"):
        place = folder / "mirror" / registry / "mastercard/restapi" / VERSION / target
        place.mkdir(parents=True)
        (place / PROVIDER.name).symlink_to(PROVIDER)
    settings = folder / "cli.tfrc"
    settings.write_text(
        f'provider_installation {{\n  filesystem_mirror {{ path = "{folder / "mirror"}" }}\n}}\n'
    )
    return {
        **os.environ,
        "TF_CLI_CONFIG_FILE": str(settings),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
    }


async def terraform(folder, environ, *arguments):
    """Run the program; return its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        *arguments,
        cwd=folder,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(200):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_organizations_are_kept_as_the_configuration_has_them(kafka, prefix, tmp_path):
    """A second run has nothing to do; each change is in the history under the name of the token."""
    connection = connection_to(kafka, prefix, shards=2)
    await create_missing_topics(connection)
    token, entry = make_token("terraform", AccessRole.OPERATOR, now_ms(), 1)
    add_to_file(tmp_path / "tokens.toml", entry)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    environ, stop = prepare(tmp_path), asyncio.Event()

    def configure(**organizations):
        values = {"console_url": url, "console_token": token, "test_connections": False}
        (tmp_path / "terraform.tfvars.json").write_text(json.dumps(values | {"organizations": organizations}))

    acme = {"url": "https://acme.example", "user": "audit@acme.example", "api_key_ref": "file:acme"}
    fields = {"origins": frozenset({url}), "api_tokens": ApiTokens(tmp_path / "tokens.toml")}
    async with open_console(connection, **fields) as console:
        console.clock.ms = now_ms()
        serving = asyncio.create_task(run_console(console.context, listener, stop))
        await console.context.view.refresh()
        try:
            configure(acme=acme)
            for arguments, code in (
                (("init", "-input=false", "-no-color"), 0),
                (("apply", "-auto-approve", "-input=false", "-no-color"), 0),
                (("plan", "-detailed-exitcode", "-input=false", "-no-color"), 0),
            ):
                found, output = await terraform(tmp_path, environ, *arguments)
                assert found == code, output
            configure(acme=acme | {"interval_seconds": 90})
            found, output = await terraform(
                tmp_path, environ, "apply", "-auto-approve", "-input=false", "-no-color"
            )
            assert found == 0, output
            found, output = await terraform(
                tmp_path, environ, "destroy", "-auto-approve", "-input=false", "-no-color"
            )
            assert found == 0, output
        finally:
            stop.set()
            await serving
    log = await read_change_log(connection)
    assert [(each["what"], each["who"]) for each in log] == [
        (what, "API token terraform") for what in ("added", "modified", "deleted")
    ]
