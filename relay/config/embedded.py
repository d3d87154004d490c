"""Settings of the embedded Kafka."""

from pathlib import Path

from pydantic import Field

from relay.config.base import ConfigModel, Count, ExpandedPath, Url


class EmbeddedConfig(ConfigModel):
    """Embedded Kafka, for an installation without a Kafka of its own."""

    data_dir: ExpandedPath = Field(
        default=Path("~/.local/share/jira-audit-relay"),
        description="Data directory of the embedded Kafka. It must survive restarts.",
        examples=["/var/lib/jira-relay"],
    )
    port: Count = Field(
        default=9092,
        ge=1,
        le=65_535,
        description="Port of the embedded Kafka on 127.0.0.1.",
        examples=[19_092],
    )
    maven_repository: Url | None = Field(
        default=None,
        description="Maven repository that the jars of Kafka are downloaded from. Not set: Maven Central.",
        examples=["https://maven.example.com/central"],
    )
