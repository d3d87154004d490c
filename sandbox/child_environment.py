"""Settings file and environment of the services that a sandbox starts."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.destinations.contract import SettingValue

SHARDS = 4
INTERVAL_SECONDS = 2

_FOREIGN_PREFIXES = ("RELAY_", "AZURE_", "IDENTITY_", "IMDS_", "MSI_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of the peers in one sandbox."""

    bootstrap: str
    gateway_url: str
    destinations: Mapping[str, Mapping[str, SettingValue]]
    """The settings of each destination, by its name."""


def render_settings(directory: Path, addresses: Addresses, interval_seconds: float = INTERVAL_SECONDS) -> str:
    """Return the relay.toml of a sandbox whose files are in `directory`. `interval_seconds`: of polling."""
    groups: dict[str, Mapping[str, SettingValue]] = {
        # Kafka's minimum for the session: another producer takes over when the session of a killed one ends.
        "kafka": {
            "bootstrap": addresses.bootstrap,
            "replication_factor": 1,
            "shards": SHARDS,
            "group_session_timeout_seconds": 6,
        },
        "schema_registry": {"cache_directory": str(directory / "schemas")},
        "producer": {"interval_seconds": interval_seconds, "gateway_url": addresses.gateway_url},
        "consumer": {"linger_seconds": 0.5},
        **{f"destinations.{name}": each for name, each in addresses.destinations.items()},
        "secrets": {"key_file": str(directory / "secrets.key")},
        "telemetry": {"log_format": "json"},
    }
    return "\n".join(_lines(groups))


def _lines(groups: Mapping[str, Mapping[str, SettingValue]]) -> Iterable[str]:
    yield "# Settings of a sandbox; they are of no use after its end."
    for group, values in groups.items():
        yield ""
        yield f"[{group}]"
        for name, value in values.items():
            yield f"{name} = {json.dumps(value, ensure_ascii=False)}"
    yield ""


def service_environment(
    environ: Mapping[str, str], peers: Mapping[str, str], telemetry_port: int
) -> dict[str, str]:
    """Return the environment of a service that reaches nothing but the sandbox.

    Settings, Azure identities and proxies of the caller are left out; `peers` locates those of the sandbox.
    """
    inherited = {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith(_FOREIGN_PREFIXES) and name.lower() not in _PROXIES
    }
    own = {"RELAY_TELEMETRY__LISTEN": f"127.0.0.1:{telemetry_port}", "RELAY_CONSUMER__PROCESSES": "1"}
    return {**inherited, **peers, **own}
