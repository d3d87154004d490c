"""Settings of the schema registry."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator

from relay.config import validators as values
from relay.config.base import ConfigModel, ExistingFile, ExpandedPath, Url


class SchemaRegistryConfig(ConfigModel):
    """The schema registry of the event topics (Confluent's API). Without one, events use Avro single-object encoding."""

    url: Url | None = Field(
        default=None,
        description="URL of the registry's API.",
        examples=["https://registry:8081/apis/ccompat/v7"],
    )
    username: str | None = Field(
        default=None, description="User name for the registry.", examples=["jira-relay"]
    )
    password: SecretStr | None = Field(default=None, description="Password for the registry.", examples=["…"])
    ca_file: ExistingFile | None = Field(
        default=None,
        description="CA certificates (PEM) to verify the registry. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    auto_register: bool = Field(
        default=False,
        description="Whether a producer registers a missing schema itself. If not, run `jira-relay schemas register` "
        "once.",
        examples=[True],
    )
    cache_directory: ExpandedPath = Field(
        default=Path("~/.cache/jira-audit-relay/schemas"),
        description="Directory that keeps the registry's answers, so that work continues while the registry is "
        "unavailable.",
        examples=["/var/cache/jira-relay"],
    )

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        _check_login(self.url, self.username, self.password)
        return self


def _check_login(address: str | None, username: str | None, password: SecretStr | None) -> None:
    if (username is None) != (password is None):
        raise ValueError("schema_registry.username and schema_registry.password belong together: set both")
    if address is None and password is not None:
        raise ValueError(
            "schema_registry.password is set, but schema_registry.url is not: set it, or remove the password"
        )
    if address is not None and password is not None and not values.parse_url(address)[0].confidential:
        raise ValueError(
            "schema_registry.password would be sent without encryption: schema_registry.url must be https"
        )
