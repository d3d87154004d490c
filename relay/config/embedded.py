from pathlib import Path

from pydantic import Field

from relay.config.base import ConfigModel, Count, DirectoryPath, Url


class EmbeddedConfig(ConfigModel):
    """The Kafka of those who have none."""

    data_dir: DirectoryPath = Field(
        default=Path("~/.local/share/jira-audit-relay"),
        description="Where its data lives; it needs to survive a restart.",
        examples=["/var/lib/jira-relay"],
    )
    port: Count = Field(
        default=9092, ge=1, le=65_535, description="Its port on this machine.", examples=[19_092]
    )
    maven_repository: Url | None = Field(
        default=None,
        description="Where its files are fetched from. Not set: Maven Central.",
        examples=["https://maven.example.com/central"],
    )
