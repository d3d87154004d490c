"""Check one setting each: return its value in normal form, or raise ValueError with the form that is allowed."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from relay.url_policy import Origin, UrlError, parse_origin, split_host, split_url

# Kafka's topic names have at most 249 of these characters (org.apache.kafka.common.internals.Topic);
# the relay appends up to 14.
_TOPIC_PREFIX = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,200}")
_DESTINATION = re.compile(r"[a-z][a-z0-9_]{0,62}")


def require_number(value: Any) -> Any:
    """Reject true and false, which pydantic would take for 1 and 0."""
    if value is True or value is False:
        raise ValueError("must be a number")
    return value


def expand_path(path: Path) -> Path:
    """Replace `~` by the user's home directory."""
    try:
        return path.expanduser()
    except RuntimeError:  # in a container, a user may have no home directory
        return path


def require_file(path: Path) -> Path:
    path = expand_path(path)
    try:
        if path.is_file():
            return path
    except OSError as error:
        raise ValueError(f"cannot be checked ({error.strerror})") from error
    raise ValueError("must be the path of an existing file")


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[::1]:port`. Port 0 makes the system choose one."""
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
        host, port = parse_host(broker)
        if not host or port is None:
            raise ValueError("must be host:port, or several separated by commas")
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
    origin, rest = parse_url(text)
    if "?" in rest or "#" in rest:
        raise ValueError("must end before any ? or #")
    return origin.url + rest.rstrip("/")


def require_secure_url(text: str) -> str:
    """Return the URL of an endpoint that receives a secret."""
    plain = normalize_url(text)
    if not parse_url(plain)[0].confidential:
        raise ValueError("must be https, since a secret is sent there (http is allowed to localhost only)")
    return plain


def require_host(text: str) -> str:
    parse_host(text)
    return text


def require_destination_name(name: str) -> str:
    if not _DESTINATION.fullmatch(name):
        raise ValueError(
            f"A destination cannot be named {name[:80]!r}: use small letters, digits and underscores, and "
            "begin with a letter"
        )
    if name == "producer":
        raise ValueError(
            "A destination cannot be named producer, since the producers' consumer group has that name: "
            "choose another name"
        )
    return name


def require_organization(name: str) -> str:
    """Check a name that a setting gives to an organization; it is the host of its URL unless `--name` chose another."""
    if name.lower().startswith(("https://", "http://")):
        raise ValueError(
            f"must name an organization by its name, which is {name.partition('//')[2].partition('/')[0]!r} for this URL"
        )
    if not name or not name.isprintable() or any(map(str.isspace, name)):
        raise ValueError("must name an organization, such as acme.atlassian.net")
    return name


def parse_start(value: Any) -> Any:
    """Return `recent`, `earliest`, `latest`, or an instant with its zone, given as text or as a TOML time.

    A time without a zone is ambiguous, so it is rejected.
    """
    if value in {"recent", "earliest", "latest"}:
        return value
    moment = _parse_time(value)
    if moment is None or moment.tzinfo is None:
        raise ValueError(
            "must be recent, earliest, latest, or a time with its zone, such as 2026-11-01T00:00:00Z"
        )
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


def parse_host(text: str) -> tuple[str, int | None]:
    """Return host and port of `host` or `host:port`; port None if there is none. Raises ValueError."""
    try:
        return split_host(text)
    except UrlError as error:
        raise ValueError("must be a host or host:port") from error


def parse_url(text: str) -> tuple[Origin, str]:
    """Return the origin of an http or https URL, and the rest of it. Raises ValueError."""
    try:
        return split_url(text)
    except UrlError as error:
        raise ValueError(_without_period(error)) from error


def _without_period(error: UrlError) -> str:
    return str(error).removesuffix(".").removesuffix(" ")
