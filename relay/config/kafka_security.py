"""Check which settings of a login to Kafka fit together. Each check raises ValueError with the settings to change."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from relay.config.validators import parse_host
from relay.url_policy import Origin

CLEARTEXT_CREDENTIALS = {"PLAIN": "password", "OAUTHBEARER": "token"}
"""The secret that a SASL mechanism sends unencrypted. SCRAM sends none: it proves knowledge of the password."""


def check_kafka_security(
    *,
    brokers: str | None,
    protocol: str,
    mechanism: str | None,
    login: tuple[str | None, SecretStr | None],
    files: Mapping[str, Path | None],
) -> None:
    """Check protocol, login and certificate files. `login` is user name and password; `brokers` may be None."""
    _check_login(brokers, protocol, mechanism, login)
    _check_files(protocol, files)


def _check_login(
    brokers: str | None,
    protocol: str,
    mechanism: str | None,
    login: tuple[str | None, SecretStr | None],
) -> None:
    sasl, tls = protocol.startswith("SASL_"), protocol.endswith("SSL")
    if sasl and mechanism is None:
        raise ValueError(
            f"kafka.security_protocol is {protocol}, which needs kafka.sasl_mechanism: set it, or set "
            f"kafka.security_protocol to {'SSL' if tls else 'PLAINTEXT'}"
        )
    if not sasl and (mechanism is not None or any(login)):
        raise ValueError(
            f"kafka.sasl_… is set, but kafka.security_protocol is {protocol}: set it to SASL_SSL"
        )
    if mechanism == "OAUTHBEARER" and any(login):
        raise ValueError(
            "kafka.sasl_username and kafka.sasl_password are not used with OAUTHBEARER: remove them"
        )
    if sasl and mechanism != "OAUTHBEARER" and not all(login):
        raise ValueError(
            f"kafka.sasl_mechanism {mechanism} needs kafka.sasl_username and kafka.sasl_password: set both"
        )
    if sasl and not tls and mechanism in CLEARTEXT_CREDENTIALS and not _all_loopback(brokers or ""):
        raise ValueError(
            f"kafka.sasl_mechanism {mechanism} would send its {CLEARTEXT_CREDENTIALS[mechanism]} without "
            "encryption: set kafka.security_protocol to SASL_SSL, or use SCRAM (unencrypted is allowed to "
            "localhost only)"
        )


def _check_files(protocol: str, files: Mapping[str, Path | None]) -> None:
    tls = protocol.endswith("SSL")
    unused = [name for name, path in files.items() if path is not None and not tls]
    if unused:
        raise ValueError(
            f"kafka.{unused[0]} is set, but kafka.security_protocol is {protocol}: set it to SSL or SASL_SSL"
        )
    if (files["certificate_file"] is None) != (files["key_file"] is None):
        raise ValueError("kafka.certificate_file and kafka.key_file belong together: set both")


def _all_loopback(brokers: str) -> bool:
    hosts = [parse_host(broker)[0] for broker in filter(None, brokers.split(","))]
    return all(Origin("tcp", host, None).loopback for host in hosts)


def check_oauth(
    *,
    mechanism: str | None,
    client: tuple[str | None, str | None, SecretStr | None],
    credential: str | None,
    others: Mapping[str, Any],
) -> None:
    """Check the OAuth settings. `client` is token URL, client id and client secret; `others` are by setting name."""
    names = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")
    given = dict(zip(names, client, strict=True))
    if mechanism != "OAUTHBEARER":
        unused = [
            name for name, value in {**given, "oauth_credential": credential, **others}.items() if value
        ]
        if unused:
            raise ValueError(
                f"kafka.{unused[0]} is set, but kafka.sasl_mechanism is not OAUTHBEARER: set it to OAUTHBEARER, "
                f"or remove kafka.{unused[0]}"
            )
    elif credential is None and not all(client):
        raise ValueError(
            "kafka.sasl_mechanism OAUTHBEARER needs kafka.oauth_token_url, kafka.oauth_client_id and "
            "kafka.oauth_client_secret, or kafka.oauth_credential for Event Hubs"
        )
    elif credential is not None and any(client):
        raise ValueError(
            "kafka.oauth_credential and kafka.oauth_token_url both provide tokens: keep one of them"
        )
