"""The settings of Jira Cloud, in the group `producer`."""

from typing import Annotated

from pydantic import AfterValidator, Field

from relay.config import validators as values
from relay.config.base import ConfigModel, OriginUrl


class JiraCloudConfig(ConfigModel):
    """Where keys of Jira Cloud may be sent."""

    gateway_url: OriginUrl = Field(
        default="https://api.atlassian.com",
        description="Atlassian's gateway, which scoped tokens and service accounts go through. Sites of Government Cloud (`*.atlassian-us-gov-mod.net`) use its own, https://api.atlassian-us-gov-mod.com.",
        examples=["https://api.atlassian.com"],
    )
    allowed_hosts: tuple[Annotated[str, AfterValidator(values.require_host)], ...] = Field(
        default=(),
        description="Hosts (or host:port) that keys may be sent to, beside `*.atlassian.net`, `*.atlassian-us-gov-mod.net`, their gateways and this machine.",
        examples=[["jira.example.com"]],
    )
