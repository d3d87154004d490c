"""Settings of the proof of completeness."""

from pydantic import Field, SecretStr

from relay.config.base import ConfigModel


class ProofConfig(ConfigModel):
    """The signature of day seals ([how](proof.md))."""

    key: SecretStr | None = Field(
        default=None,
        description="Private key that signs day seals: base64 of 32 random bytes (`openssl rand -base64 32`). `jira-relay proof key` prints"
        " its public key. Not set: no day can be sealed.",
        examples=["…"],
    )
