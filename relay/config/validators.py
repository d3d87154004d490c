"""What single settings may be; each function returns the value in normal form or raises a ValueError saying what is allowed."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from relay.credentials.url_policy import Origin, UrlError, parse_origin, split_host, split_url

# Kafka's topic names have at most 249 characters of these (org.apache.kafka.common.internals.Topic); ours add up to 14.
_TOPIC_PREFIX = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}")
_DESTINATION = re.compile(r"[a-z][a-z0-9_]{0,62}")

CLEARTEXT_CREDENTIALS = {"PLAIN": "password", "OAUTHBEARER": "token"}
"""What a login hands over as it is; SCRAM proves only that it is known."""


def require_number(value: Any) -> Any:
    if value is True or value is False:
        raise ValueError("must be a number")
    return value


def expand_path(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # a user without a home directory, in a container
        return path


def require_file(path: Path) -> Path:
    path = expand_path(path)
    try:
        if path.is_file():
            return path
    except OSError as error:
        raise ValueError(f"cannot be looked at ({error.strerror})") from error
    raise ValueError("must be the path of a file; there is none")


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[::1]:port`; port 0 lets the system choose."""
    host, _, port = address.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535 or not host.strip("[]"):
        raise ValueError("must be host:port, such as 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)


def require_address(address: str) -> str:
    parse_address(address)
    return address


def normalize_bootstrap(text: str) -> str:
    brokers = [broker.strip() for broker in text.split(",")]
    for broker in brokers:
        host, port = _split_host(broker)
        if not host or port is None:
            raise ValueError("must be host:port, several with commas between")
    return ",".join(brokers)


def require_topic_prefix(prefix: str) -> str:
    if not _TOPIC_PREFIX.fullmatch(prefix):
        raise ValueError("must be at most 200 letters, digits, dots, hyphens or underscores")
    return prefix


def normalize_origin(text: str) -> str:
    try:
        return parse_origin(text).url
    except UrlError as error:
        raise ValueError(_without_period(error)) from error


def normalize_url(text: str) -> str:
    origin, rest = _split_url(text)
    if "?" in rest or "#" in rest:
        raise ValueError("must end before any ? or #")
    return origin.url + rest.rstrip("/")


def require_secure_url(text: str) -> str:
    """Where a secret is sent to."""
    plain = normalize_url(text)
    if not _split_url(plain)[0].confidential:
        raise ValueError("must be https (http is for this machine alone): a secret is sent there")
    return plain


def require_host(text: str) -> str:
    _split_host(text)
    return text


def require_destination_name(name: str) -> str:
    if not _DESTINATION.fullmatch(name):
        raise ValueError(
            f"A destination cannot be called {name[:80]!r}: its name has small letters, digits and underscores, and begins with a letter"
        )
    if name == "producer":
        raise ValueError(
            "A destination cannot be called producer: the producers' consumer group has that name"
        )
    return name


def parse_start(value: Any) -> Any:
    """A time in a file may be TOML's own; one without a zone could mean two different moments."""
    if value in {"earliest", "latest"}:
        return value
    moment = _parse_time(value)
    if moment is None or moment.tzinfo is None:
        raise ValueError("must be earliest, latest, or a time with its zone, such as 2026-11-01T00:00:00Z")
    return moment


def _parse_time(value: Any) -> datetime | None:
    try:
        return (
            datetime.fromisoformat(value)
            if isinstance(value, str)
            else value
            if isinstance(value, datetime)
            else None
        )
    except ValueError:
        return None


def check_kafka_security(
    *,
    brokers: str | None,
    protocol: str,
    mechanism: str | None,
    login: tuple[str | None, SecretStr | None],
    files: Mapping[str, Path | None],
) -> None:
    sasl, tls = protocol.startswith("SASL_"), protocol.endswith("SSL")
    if sasl and mechanism is None:
        raise ValueError(f"kafka.security_protocol is {protocol}, which needs kafka.sasl_mechanism")
    if not sasl and (mechanism is not None or any(login)):
        raise ValueError(
            f"kafka.sasl_… is set, but kafka.security_protocol is {protocol}: set it to SASL_SSL"
        )
    if mechanism == "OAUTHBEARER" and any(login):
        raise ValueError(
            "kafka.sasl_username and kafka.sasl_password have no use with OAUTHBEARER: leave them out"
        )
    if sasl and mechanism != "OAUTHBEARER" and not all(login):
        raise ValueError(
            f"kafka.sasl_mechanism {mechanism} needs kafka.sasl_username and kafka.sasl_password"
        )
    if sasl and not tls and mechanism in CLEARTEXT_CREDENTIALS and not _all_loopback(brokers or ""):
        raise ValueError(
            f"kafka.sasl_mechanism {mechanism} would send its {CLEARTEXT_CREDENTIALS[mechanism]} in clear: set"
            " kafka.security_protocol to SASL_SSL, or use SCRAM (in clear to this machine alone)"
        )
    unused = [name for name, path in files.items() if path is not None and not tls]
    if unused:
        raise ValueError(
            f"kafka.{unused[0]} is set, but kafka.security_protocol is {protocol}: set it to SSL or SASL_SSL"
        )
    if (files["certificate_file"] is None) != (files["key_file"] is None):
        raise ValueError("kafka.certificate_file and kafka.key_file belong together: set both")


def _all_loopback(brokers: str) -> bool:
    hosts = [_split_host(broker)[0] for broker in filter(None, brokers.split(","))]
    return all(Origin("tcp", host, None).loopback for host in hosts)


def check_oauth(
    *,
    mechanism: str | None,
    client: tuple[str | None, str | None, SecretStr | None],
    credential: str | None,
    others: Mapping[str, Any],
) -> None:
    names = ("oauth_token_url", "oauth_client_id", "oauth_client_secret")
    given = dict(zip(names, client, strict=True))
    if mechanism != "OAUTHBEARER":
        unused = [
            name for name, value in {**given, "oauth_credential": credential, **others}.items() if value
        ]
        if unused:
            raise ValueError(f"kafka.{unused[0]} is set, but kafka.sasl_mechanism is not OAUTHBEARER")
    elif credential is None and not all(client):
        raise ValueError(
            "kafka.sasl_mechanism OAUTHBEARER needs kafka.oauth_token_url, kafka.oauth_client_id and"
            " kafka.oauth_client_secret; or kafka.oauth_credential, for Event Hubs"
        )
    elif credential is not None and any(client):
        raise ValueError("kafka.oauth_credential and kafka.oauth_token_url are two ways to a token: keep one")


def check_registry(address: str | None, username: str | None, password: SecretStr | None) -> None:
    if (username is None) != (password is None):
        raise ValueError("schema_registry.username and schema_registry.password belong together: set both")
    if address is None and password is not None:
        raise ValueError("schema_registry.password is set, but schema_registry.url is not")
    if address is not None and password is not None and not _split_url(address)[0].confidential:
        raise ValueError("schema_registry.password would be sent in clear: schema_registry.url must be https")


def _split_host(text: str) -> tuple[str, int | None]:
    try:
        return split_host(text)
    except UrlError as error:
        raise ValueError("must be a host or host:port") from error


def _split_url(text: str) -> tuple[Origin, str]:
    try:
        return split_url(text)
    except UrlError as error:
        raise ValueError(_without_period(error)) from error


def _without_period(error: UrlError) -> str:
    return str(error).removesuffix(".").removesuffix(" ")
