"""Settings of the keys that protect API keys."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from relay.config.base import ConfigModel, ExistingFile, ExpandedPath


class SecretsConfig(ConfigModel):
    """Keys that encrypt the API keys of organizations, and the directory of referenced API keys."""

    keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Keys that encrypt the organizations' API keys, each base64 of 32 random bytes (`openssl rand "
        "-base64 32`). The first encrypts, all decrypt. To rotate them, see "
        "[operations](operations/keys.md).",
        examples=[["…"]],
    )
    key_file: ExistingFile | None = Field(
        default=None,
        description="File with such keys, one a line, instead of `keys`; it is read again when it changes. With embedded Kafka and neither of the two, "
        "the relay creates one in `embedded.data_dir`.",
        examples=["/run/secrets/relay-keys"],
    )
    directory: ExpandedPath | None = Field(
        default=None,
        description="Directory that references of the form `file:NAME` are read from.",
        examples=["/run/secrets/jira"],
    )

    @model_validator(mode="after")
    def _check_single_source(self) -> Self:
        if self.keys and self.key_file:
            raise ValueError("secrets.keys and secrets.key_file are both set: keep one of them")
        return self
