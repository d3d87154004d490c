"""Settings of the console."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from relay.config.base import ConfigModel, ExpandedPath, ListenAddress, OriginUrl
from relay.config.validators import parse_address
from relay.url_policy import Origin

MIN_TOKEN_CHARS = 16


class ConsoleConfig(ConfigModel):
    """The console: pages and an HTTP API for operators ([how](console.md))."""

    listen: ListenAddress = Field(
        default="127.0.0.1:8080",
        description="Address and port of the console. An address that other machines reach needs `token` and `public_url` too.",
        examples=["0.0.0.0:8080"],
    )
    token: SecretStr | None = Field(
        default=None,
        description=f"Token of the login, of at least {MIN_TOKEN_CHARS} characters (`openssl rand -base64 32`). Consoles with one token"
        " share their sessions; a new token ends all sessions. Not set: on a loopback address the console makes one, and says"
        " where it is.",
        examples=["…"],
    )
    public_url: OriginUrl | None = Field(
        default=None,
        description="URL under which browsers reach the console, such as that of the reverse proxy with the certificate. https,"
        " or http to localhost. Not set: the console answers for loopback addresses alone.",
        examples=["https://relay.example.com"],
    )

    api_tokens: ExpandedPath | None = Field(
        default=None,
        description="File with the tokens of scripts: a name, a role, an expiry and a hash of each. `jira-relay api-token` makes a token"
        " and writes its table; to end a token, delete its table. Consoles read the file again when it changes.",
        examples=["console-api-tokens.toml"],
    )

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if self.token is not None and len(self.token.get_secret_value()) < MIN_TOKEN_CHARS:
            raise ValueError(
                f"console.token is shorter than {MIN_TOKEN_CHARS} characters: make one with `openssl rand -base64 32`"
            )
        if not self.loopback and (self.token is None or self.public_url is None):
            raise ValueError(
                f"console.listen = {self.listen!r} can be reached from other machines: set console.token_file and console.public_url"
                " too, or listen on 127.0.0.1"
            )
        return self

    @property
    def loopback(self) -> bool:
        """Return whether only this machine reaches the console."""
        host, _ = parse_address(self.listen)
        return Origin("http", host, None).loopback
