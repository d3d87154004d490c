"""The libraries that a command loads: those that it uses. A test of time would depend on the machine."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
from cli import app

def report(work, *_):
    work.close()
    raise SystemExit

if {starts}:
    from cli import context
    context.asyncio.run = report
try:
    app.main({arguments})
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)))
"""
"""Runs a command up to the work that it would do."""

KINDS = """
import importlib, json, sys
import cli.consumer_service
loaded = {}
for kind in ("http", "elasticsearch", "object_store", "splunk", "otlp", "kafka", "sentinel"):
    before = set(sys.modules)
    importlib.import_module(f"consumer.destinations.{kind}.destination")
    loaded[kind] = sorted(set(sys.modules) - before)
print(json.dumps(loaded))
"""

AZURE = {"azure", "msal", "requests"}
CONSOLE = {"authlib", "console", "jinja2", "joserfc", "multipart", "starlette", "uvicorn"}
OTHERS = {"embedded", "obstore", "sandbox", "simulators"}
HELP = {
    "aiohttp",
    "aiokafka",
    "asyncio",
    "consumer",
    "cryptography",
    "fastavro",
    "httpx",
    "management",
    "polars",
}
HELP |= {"producer", "prometheus_client", "pydantic", "structlog"}


def run_python(program):
    """Return the document on the last line that the program prints."""
    environ = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "RELAY_KAFKA__BOOTSTRAP": "127.0.0.1:1",
        "RELAY_SECRETS__KEYS": json.dumps(["2026=" + "A" * 43 + "="]),
        "RELAY_CONSUMER__PROCESSES": "1",
        "RELAY_DESTINATIONS__SOC__KIND": "http",
        "RELAY_DESTINATIONS__SOC__URL": "https://receiver.example/events",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--help"], HELP | AZURE | CONSOLE | OTHERS),
        (["organizations", "list"], {"aiohttp", "polars"} | AZURE | CONSOLE | OTHERS),
        (["produce"], {"polars"} | AZURE | CONSOLE | OTHERS),
        (["consume", "--destination", "soc"], AZURE | CONSOLE | OTHERS),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_loads_no_library_that_it_does_not_use(arguments, unused):
    """The help loads no room of the services, and a service no other service, destination or console."""
    starts = arguments != ["--help"]
    modules = run_python(PROGRAM.format(arguments=arguments, starts=starts))
    assert unused & {name.partition(".")[0] for name in modules} == set()
    services = {"producer.service", "consumer.service"} & set(modules)
    assert services == {"produce": {"producer.service"}, "consume": {"consumer.service"}}.get(
        arguments[0], set()
    )


def test_a_kind_of_destination_loads_its_own_libraries_alone():
    """The SDK of Azure is loaded for Microsoft Sentinel, which is opened last here, and the others do without it."""
    loaded = run_python(KINDS)
    packages = {kind: {name.partition(".")[0] for name in names} for kind, names in loaded.items()}
    assert "azure" in packages.pop("sentinel")
    assert (AZURE | CONSOLE | {"obstore"}) & set().union(*packages.values()) == set()
