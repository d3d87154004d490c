"""Settings of the destination kind file."""

from typing import Literal

from pydantic import Field, SecretStr

from consumer.config import StartPosition
from relay.config.base import ConfigModel, DirectoryPath


class FileConfig(ConfigModel):
    """A spool directory, under a name of your choice: small letters, digits and underscores."""

    kind: Literal["file"] = Field(
        description="Kind of the destination. Not set: its name is its kind.", examples=["file"]
    )
    directory: DirectoryPath = Field(
        description="Directory of the spool files.", examples=["/var/spool/jira-relay"]
    )
    token: SecretStr = Field(
        description="Password of the directory, equal to the content of its file `token`.", examples=["…"]
    )
    start: StartPosition | None = Field(
        default=None,
        description="Start of the first run: `earliest`, `latest`, or a time. Not set: `consumer.start`.",
        examples=["latest"],
    )
