"""The settings of certificates that each kind of destination by HTTPS has."""

from typing import Self

from pydantic import Field, model_validator

from relay.config.base import ConfigModel, ExpandedPath


class CertificateSettings(ConfigModel):
    """Files of certificates, PEM each; a kind inherits them."""

    ca_file: ExpandedPath | None = Field(
        default=None,
        description="CA certificates (PEM) to verify the server. A changed file counts for new connections. Not set: the system's.",
        examples=["/etc/relay/ca.pem"],
    )
    certificate_file: ExpandedPath | None = Field(
        default=None,
        description="Client certificate (PEM), if the server requires one. A changed file counts for new connections.",
        examples=["/etc/relay/client.pem"],
    )
    key_file: ExpandedPath | None = Field(
        default=None,
        description="Private key (PEM) of `certificate_file`.",
        examples=["/etc/relay/client.key"],
    )

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("A destination has certificate_file without key_file, or the reverse: set both")
        return self
