"""Settings of the destination kind file."""

from typing import Literal

from pydantic import Field, SecretStr

from consumer.config import DestinationSettings
from consumer.destinations.contract import Flow
from relay.config.base import ExpandedPath, OrganizationName


class FileConfig(DestinationSettings):
    """A spool directory, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["file"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["file"]
    )
    directory: ExpandedPath = Field(
        description="Directory of the spool files.", examples=["/var/spool/jira-relay"]
    )
    token: SecretStr = Field(
        description="Password of the directory, equal to the content of its file `token`.", examples=["…"]
    )
    by_organization: dict[OrganizationName, str] = Field(
        default={},
        description="File of each organization that has its own.",
        examples=[{"acme.atlassian.net": "acme.jsonl"}],
    )


def identity(config: FileConfig) -> dict[Flow, dict[str, str]]:
    """Return the directory and the files: where lines go, with any token."""
    files = {f"file of {name}": file for name, file in sorted(config.by_organization.items())}
    place = {"directory": str(config.directory), **files}
    return {"live": place, "history": place}
