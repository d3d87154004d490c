"""Settings of the destination kind http."""

import hashlib
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from consumer.config import DestinationSettings
from consumer.destinations.certificate_settings import CertificateSettings
from consumer.destinations.contract import Flow
from consumer.destinations.request_headers import HeaderSettings
from relay.config.base import Count, ExpandedPath
from relay.config.validators import parse_url

Format = Literal["json", "ndjson", "single", "cloudevents"]
EventFormat = Literal["native", "ocsf"]
_ESCAPE = re.compile("%[0-9a-fA-F]{2}")
_CREDENTIAL = re.compile("key|token|secret|sig|code|auth|pass|pwd|cred|hmac|jwt|expire", re.IGNORECASE)
"""Names of query parameters that hold a credential, or rotate with one."""


def _receiver_url(url: SecretStr) -> SecretStr:
    """Check a URL that receives events. Its path or query may be a secret, so no message shows it."""
    try:
        origin, rest = parse_url(url.get_secret_value())
    except ValueError:  # its message quotes the URL
        raise ValueError(
            "must be a URL that begins with https:// , without a user, a blank or a backslash"
        ) from None
    if not origin.confidential:
        raise ValueError("must be https, since events are sent there (http is allowed to localhost only)")
    if set("{}") & set(rest):
        raise ValueError("must have no placeholder such as {name}, since the relay replaces nothing in it")
    if "#" in rest:
        raise ValueError("must end before any #")
    return url


ReceiverUrl = Annotated[SecretStr, AfterValidator(_receiver_url)]


class HttpConfig(HeaderSettings, CertificateSettings, DestinationSettings):
    """A server that takes events by POST, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["http"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["http"]
    )
    url: ReceiverUrl = Field(
        description="URL that receives new events, with its path and query. Messages show its host only.",
        examples=["https://collector.example.com/jira"],
    )
    history_url: ReceiverUrl | None = Field(
        default=None,
        description="URL that receives backfill and replay. Not set: history is not sent.",
        examples=["https://collector.example.com/jira-history"],
    )
    receiver: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Name of the receiver, if the path of its URL holds a secret: with it, a new path on the same host is the same "
        "target. Not set: a new path is another target, and waits for `jira-relay destinations confirm`.",
        examples=["soc-webhook"],
    )
    format: Format = Field(
        default="json",
        description="Body of a request: `json` is an array, `ndjson` has an event a line, `single` is one event, and "
        "`cloudevents` is an array of CloudEvents.",
        examples=["ndjson"],
    )
    event_format: EventFormat = Field(
        default="native",
        description="Fields of an event: `native` has Jira's own names, `ocsf` is the Open Cybersecurity Schema Framework 1.3.0, "
        "class 3004. The format `cloudevents` has native events.",
        examples=["ocsf"],
    )
    compression: Literal["none", "gzip"] = Field(
        default="none",
        description="Compression of bodies: `none`, or `gzip` if the receiver accepts it. Signatures are over the bytes sent.",
        examples=["gzip"],
    )
    max_body_bytes: Count = Field(
        default=1_000_000,
        ge=10_000,
        le=10_000_000,
        description="Largest body before compression, in bytes; a longer event is truncated with a mark.",
        examples=[4_000_000],
    )
    max_events: Count = Field(
        default=1_000,
        ge=1,
        le=10_000,
        description="Most events in a request; always 1 with the format `single`.",
        examples=[500],
    )
    max_requests: Count = Field(
        default=4, ge=1, le=64, description="Most requests at a time for each URL.", examples=[16]
    )
    signing_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secrets of Standard Webhooks (`whsec_` and base64 of 24 to 64 bytes); each one signs, so several serve while "
        "keys rotate.",
        examples=[["whsec_…"]],
    )
    signing_secrets_file: ExpandedPath | None = Field(
        default=None,
        description="File with further such secrets, one a line. It is read again after a 401 or 403.",
        examples=["/run/secrets/collector-signing"],
    )

    @model_validator(mode="after")
    def _check_formats(self) -> Self:
        if self.format == "cloudevents" and self.event_format != "native":
            raise ValueError(
                "A destination has the format cloudevents, whose type names native events, and event_format ocsf: use the format"
                " json or ndjson"
            )
        return self


def identity(config: HttpConfig) -> dict[Flow, dict[str, str]]:
    """Return where each flow goes: scheme, host and port, and a digest of path and query, which may be secret.

    Parameters that rotate with a credential are left out, and the whole path and query where `receiver` names what is behind them.
    """
    urls: dict[Flow, SecretStr | None] = {"live": config.url, "history": config.history_url}
    return {
        flow: _place(url.get_secret_value(), config.receiver) for flow, url in urls.items() if url is not None
    }


def _place(url: str, receiver: str | None) -> dict[str, str]:
    """Return one URL's part of the identity. Two spellings of one URL (RFC 3986, 6.2.2) give one result."""
    origin, rest = parse_url(url)
    if receiver is not None:
        return {"host": origin.url, "receiver": receiver}
    path, _, query = _ESCAPE.sub(lambda escape: escape[0].upper(), rest).partition("?")
    parameters = sorted(
        each for each in query.split("&") if each and not _CREDENTIAL.search(each.partition("=")[0])
    )
    digest = hashlib.sha256("\n".join([path or "/", *parameters]).encode()).hexdigest()
    return {"host": origin.url, "digest of the path": digest[:16]}
