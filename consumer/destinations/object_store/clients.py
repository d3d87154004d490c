"""The clients of the clouds: their options, and the credentials of files. Called again whenever a credential was refused."""

import configparser
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from consumer.destinations.object_store.cloud import Opened
from consumer.destinations.object_store.config import Location, ObjectStoreConfig
from relay.credentials.azure import describe_azure_error, open_credential
from relay.errors import RelayError, describe
from relay.http import holds_certificates, read_environment_certificates
from relay.proxies import Proxy, read_proxy_rules

CONNECT_SECONDS = 10
_AZURE_DOMAINS = {".usgovcloudapi.net": "usgov", ".chinacloudapi.cn": "china"}
AZURE_SCOPE = "https://storage.azure.com/.default"
NEVER_BY_PROXY = (
    "localhost,127.0.0.1,::1,169.254.169.254,169.254.170.2,169.254.170.23,metadata.google.internal"
)
"""Metadata services hand out credentials: a proxy could read them."""
_NO_PROXY = "http://localhost"
"""In place of a proxy that no request goes through."""


def open_client(name: str, config: ObjectStoreConfig, location: Location, timeout_seconds: float) -> Opened:
    """Open the client of a bucket; no request is made. Raises RelayError for files and variables that cannot be used."""
    common: dict[str, Any] = {
        "prefix": location.prefix or None,
        "client_options": _client_options(name, config, location, timeout_seconds),
        # the delivery waits and tries again, and counts each try
        "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=timeout_seconds)},
    }
    content = _read(name, "credential_file", config.credential_file)
    try:
        match location.scheme:
            case "s3":
                opened = _open_s3(config, location, content, common)
            case "az":
                opened = _open_azure(config, location, content, common)
            case _:
                opened = _open_gcs(config, location, content, common)
        return replace(opened, proxy=_proxy(config, location))
    except RelayError:
        raise
    except Exception as error:
        # neither the library's message nor the file's content is shown: both may hold the credential
        raise RelayError(
            f"The credential of destinations.{name} cannot be used ({type(error).__name__})."
            f" Check destinations.{name}.credential_file and the environment."
        ) from error


def _open_s3(
    config: ObjectStoreConfig, location: Location, content: str | None, common: dict[str, Any]
) -> Opened:
    options: Any = {"disable_bulk_delete": True, **({"region": config.region} if config.region else {})}
    if config.endpoint:
        options["endpoint"] = config.endpoint
    secrets: tuple[str, ...] = ()
    if content is not None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(content)
        profile = parser["default"]
        options |= {
            "access_key_id": profile["aws_access_key_id"],
            "secret_access_key": profile["aws_secret_access_key"],
        }
        if "aws_session_token" in profile:
            options["session_token"] = profile["aws_session_token"]
        secrets = (options["secret_access_key"], options.get("session_token", ""))
    return Opened(S3Store(location.bucket, config=options, **common), secrets)


def _open_azure(
    config: ObjectStoreConfig, location: Location, content: str | None, common: dict[str, Any]
) -> Opened:
    options: Any = {"account_name": location.account}
    if config.endpoint:
        options["endpoint"] = config.endpoint
    if content is not None:
        key = content.strip().removeprefix("?")
        options["sas_key" if "sig=" in key else "account_key"] = key
        secrets = (key, *(part.partition("=")[2] for part in key.split("&") if part.startswith("sig=")))
        return Opened(AzureStore(location.bucket, config=options, **common), secrets)
    identity = _AzureIdentity(open_credential(config.credential, _azure_cloud(config)))
    return Opened(
        AzureStore(location.bucket, config=options, credential_provider=identity.provide, **common),
        close=identity.credential.close,
        credential_fault=lambda: identity.fault,
    )


def _azure_cloud(config: ObjectStoreConfig) -> str:
    """Return the cloud of the endpoint's domain, whose login server gives the token."""
    host = urlsplit(config.endpoint or "").hostname or ""
    return next((cloud for domain, cloud in _AZURE_DOMAINS.items() if host.endswith(domain)), "public")


class _AzureIdentity:
    """Tokens of an identity for obstore, which loses the reason when there is none: it is kept here."""

    def __init__(self, credential: Any) -> None:
        self.credential = credential
        self.fault: str | None = None

    async def provide(self) -> Any:
        try:
            token = await self.credential.get_token(AZURE_SCOPE)
        except Exception as error:
            self.fault = describe_azure_error(error)
            raise
        self.fault = None
        return {"token": token.token, "expires_at": datetime.fromtimestamp(token.expires_on, UTC)}


def _open_gcs(
    config: ObjectStoreConfig, location: Location, content: str | None, common: dict[str, Any]
) -> Opened:
    options: Any = {} if content is None else {"service_account_key": content}
    if config.endpoint:
        options["base_url"] = config.endpoint
    return Opened(GCSStore(location.bucket, config=options, **common), () if content is None else (content,))


def _client_options(
    name: str, config: ObjectStoreConfig, location: Location, timeout_seconds: float
) -> dict[str, Any]:
    options: dict[str, Any] = {
        "timeout": timedelta(seconds=timeout_seconds + 5),  # the caller's own time ends first
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "user_agent": f"jira-audit-relay/{version('jira-audit-relay')}",
        "allow_http": urlsplit(config.endpoint or "").scheme == "http",
    }
    certificates = [
        text
        for text in (_read_authorities(name, config.ca_file), read_environment_certificates())
        if text is not None
    ]
    if certificates:
        options["root_certificate"] = "\n".join(certificates)
    proxy = _proxy(config, location)
    if proxy is not None:
        options |= {"proxy_url": proxy.url, "proxy_excludes": NEVER_BY_PROXY}
    elif read_proxy_rules().by_scheme:
        # The library would read the variables itself, and other rules than the relay's would hold.
        options |= {"proxy_url": _NO_PROXY, "proxy_excludes": "*"}
    return options


def _proxy(config: ObjectStoreConfig, location: Location) -> Proxy | None:
    return read_proxy_rules().find(config.endpoint or f"https://{_host(config, location)}")


def _host(config: ObjectStoreConfig, location: Location) -> str:
    match location.scheme:
        case "s3":
            return f"s3.{config.region or 'us-east-1'}.amazonaws.com"
        case "az":
            return f"{location.account}.blob.core.windows.net"
        case _:
            return "storage.googleapis.com"


def _read_authorities(name: str, path: Path | None) -> str | None:
    """Return the CA certificates of the setting. obstore takes a text without any, and would trust none of them."""
    text = _read(name, "ca_file", path)
    if text is not None and not holds_certificates(text):
        raise RelayError(
            f"destinations.{name}.ca_file is {path}, which holds no certificate in PEM form. Correct the path or the file."
        )
    return text


def _read(name: str, setting: str, path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RelayError(
            f"destinations.{name}.{setting} is {path}, which cannot be read ({describe(error)}). Correct the path or the file."
        ) from error
