"""Settings as variables and files, and the errors that they give."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from management.settings import Settings, load
from relay.config.names import models_by_kind
from relay.errors import SettingsError

CANARY = "canary-5f1c9e-secret"
RULE = "dcr-" + "0a" * 16
IN_CLEAR = {
    "RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "RELAY_KAFKA__SASL_MECHANISM": "PLAIN",
    "RELAY_KAFKA__SASL_USERNAME": "relay",
    "RELAY_KAFKA__SASL_PASSWORD": CANARY,
}
OAUTH = {"RELAY_KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "RELAY_KAFKA__SASL_MECHANISM": "OAUTHBEARER"}
REGISTRY = {
    "RELAY_SCHEMA_REGISTRY__URL": "https://registry",
    "RELAY_SCHEMA_REGISTRY__USERNAME": "relay",
}
OIDC = {
    "RELAY_CONSOLE__OIDC_ISSUER": "https://login.example.com",
    "RELAY_CONSOLE__OIDC_CLIENT_ID": "relay",
}
SENTINEL = {
    "RELAY_DESTINATIONS__SENTINEL__ENDPOINT": "https://relay-a1b2.westeurope-1.ingest.monitor.azure.com",
    "RELAY_DESTINATIONS__SENTINEL__RULE_ID": RULE,
}


def destination_of(name: tuple[str, ...]) -> tuple[str, Mapping[str, str]]:
    """Return a destination that has this setting, and the variables that its kind requires."""
    kinds = models_by_kind(Settings)
    if name[0] != "destinations" or name[2] in kinds["sentinel"].model_fields:
        return "SENTINEL", SENTINEL
    kind, model = next((kind, model) for kind, model in kinds.items() if name[2] in model.model_fields)
    required = {setting: field for setting, field in model.model_fields.items() if field.is_required()}
    destination = f"OTHER_{kind.upper()}"
    return destination, {
        f"RELAY_DESTINATIONS__{destination}__{setting.upper()}": kind
        if setting == "kind"
        else str((field.examples or [""])[0])
        for setting, field in required.items()
    }


def load_error(config: Path | None = None, environ: Mapping[str, str] | None = None) -> str:
    """Return the message of the error that these settings must give."""
    with pytest.raises(SettingsError) as caught:
        load(config, environ or {})
    return str(caught.value)


def error_or_empty(environ: Mapping[str, str]) -> str:
    """Return the message of the error that these variables give. Empty: they are accepted."""
    try:
        load(environ=environ)
    except SettingsError as error:
        return str(error) or "nothing at all"
    return ""


def write_config(text: str) -> Path:
    """Write a settings file into the working directory."""
    path = Path("settings.toml")
    path.write_text(text, "utf-8")
    return path
