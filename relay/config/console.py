"""Settings of the console."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from relay.config.base import ConfigModel, ExistingFile, ExpandedPath, ListenAddress, OriginUrl, SecretUrl
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

    oidc_issuer: SecretUrl | None = Field(
        default=None,
        description="URL of an identity provider (OpenID Connect), as its document `/.well-known/openid-configuration` names it: people"
        " then sign in there. The redirect URI to register is `public_url` and `/login/callback`.",
        examples=["https://login.example.com/realms/relay"],
    )
    oidc_client_id: str | None = Field(
        default=None, description="Client id at `oidc_issuer`.", examples=["jira-relay"]
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Client secret at `oidc_issuer`.", examples=["…"]
    )
    oidc_scope: str = Field(
        default="openid profile email",
        description="Scopes that are asked for; some providers have the roles behind one of their own.",
        examples=["openid profile email groups"],
    )
    oidc_role_claim: str = Field(
        default="roles",
        description="Claim of the id token that holds the roles of a person, a list or a text; a dot leads into an object.",
        examples=["realm_access.roles", "groups"],
    )
    oidc_viewer_roles: tuple[str, ...] = Field(
        default=("jira-relay-viewer",),
        description="Values of `oidc_role_claim` that make a person a viewer. Without any, nobody is one.",
        examples=[["soc"]],
    )
    oidc_operator_roles: tuple[str, ...] = Field(
        default=("jira-relay-operator",),
        description="Values of `oidc_role_claim` that make a person an operator.",
        examples=[["soc-lead"]],
    )
    oidc_name_claim: str = Field(
        default="email",
        description="Claim of the id token with the name that the history of changes shows. Choose one that people cannot change.",
        examples=["preferred_username", "upn"],
    )
    oidc_ca_file: ExistingFile | None = Field(
        default=None,
        description="CA certificates (PEM) to verify the server of `oidc_issuer`. Not set: the system's.",
        examples=["/etc/ssl/ca.pem"],
    )

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if self.token is not None and len(self.token.get_secret_value()) < MIN_TOKEN_CHARS:
            raise ValueError(
                f"console.token is shorter than {MIN_TOKEN_CHARS} characters: make one with `openssl rand -base64 32`"
            )
        has_login = self.token is not None or self.oidc_issuer is not None
        if not self.loopback and (not has_login or self.public_url is None):
            raise ValueError(
                f"console.listen = {self.listen!r} can be reached from other machines: set console.token_file (or console.oidc_issuer)"
                " and console.public_url too, or listen on 127.0.0.1"
            )
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError(
                "console.oidc_issuer and console.oidc_client_id need one another: set both, or none"
            )
        if (self.oidc_issuer is None) != (self.oidc_client_secret is None):
            raise ValueError(
                "console.oidc_issuer and console.oidc_client_secret_file need one another: set both, or none"
            )
        return self

    @property
    def loopback(self) -> bool:
        """Return whether only this machine reaches the console."""
        host, _ = parse_address(self.listen)
        return Origin("http", host, None).loopback
