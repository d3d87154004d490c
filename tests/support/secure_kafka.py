"""An embedded Kafka with a listener for each kind of login and each fault of a certificate."""

import asyncio
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from embedded import EmbeddedKafka, java, ports
from embedded.properties import HOST
from tests.support.authorization_server import AUDIENCE, ISSUER_NAME, AuthorizationServer, SigningKey
from tests.support.certificates import DAY, CertificateAuthority
from tests.support.kafka import STEADY

SESSION_SECONDS = 3
UNUSED_ADDRESS = f"{HOST}:1"

_PROTOCOLS = {
    "SCRAM": "SASL_SSL",
    "CLEAR": "SASL_PLAINTEXT",
    "MUTUAL": "SSL",
    "EXPIRED": "SSL",
    "ELSEWHERE": "SSL",
    "OAUTH": "SASL_SSL",
    "SHORT": "SASL_SSL",
    "LOST": "PLAINTEXT",
}
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearer"


class SecureKafka(EmbeddedKafka):
    """Listeners by name, each on its own port; `listener_address` returns the address.

    plaintext · scram (SASL_SSL) · clear (SASL_PLAINTEXT, SCRAM) · mutual (SSL, requires a client certificate) · expired, elsewhere
    (SSL, with a certificate that has expired, or is for other hosts) · oauth (SASL_SSL, OAUTHBEARER) · short (the same, but
    sessions end after SESSION_SECONDS) · lost (plain text, advertised at an unused address)
    """

    user, password = "relay", "correct-horse-battery"

    def __init__(self, directory: Path) -> None:
        pki = directory / "pki"
        pki.mkdir()
        self.authority, self.untrusted_authority = (
            CertificateAuthority(pki, "authority"),
            CertificateAuthority(pki, "stranger"),
        )
        self.client_certificate = self.authority.issue("ours", ())
        self.expired_certificate = self.authority.issue("expired", expires_in=-DAY)
        self._keys_file = pki / "keys.json"
        self.signing_key = SigningKey(self._keys_file)
        self._ports = {
            name.lower(): ports.pick_free_port() for name in ("PLAINTEXT", "CONTROLLER", *_PROTOCOLS)
        }
        super().__init__(
            directory / "data",
            self._ports["plaintext"],
            heap="384m",
            flush_each_write=False,
            extra_properties=self._listeners() | self._certificates() | self._logins(),
        )

    def listener_address(self, name: str) -> str:
        return f"{HOST}:{self._ports[name]}"

    def scram_settings(self, **changes: Any) -> dict[str, Any]:
        """Return settings of the group kafka for the listener `scram`."""
        login = {"sasl_username": self.user, "sasl_password": self.password}
        return self._tls_settings("scram", "SASL_SSL", sasl_mechanism="SCRAM-SHA-512", **login, **changes)

    def mutual_settings(self, **changes: Any) -> dict[str, Any]:
        client = {
            "certificate_file": str(self.client_certificate.certificate),
            "key_file": str(self.client_certificate.key),
        }
        return self._tls_settings("mutual", "SSL", **client, **changes)

    def oauth_settings(
        self, authorization_server: AuthorizationServer, listener: str = "oauth", **changes: Any
    ) -> dict[str, Any]:
        client = {
            "oauth_client_id": authorization_server.client_id,
            "oauth_client_secret": authorization_server.client_secret,
        }
        return self._tls_settings(
            listener,
            "SASL_SSL",
            sasl_mechanism="OAUTHBEARER",
            oauth_token_url=authorization_server.url,
            **client,
            **changes,
        )

    def _tls_settings(self, listener: str, protocol: str, **settings: Any) -> dict[str, Any]:
        trusted = {"security_protocol": protocol, "ca_file": str(self.authority.file)}
        return {"bootstrap": self.listener_address(listener), "replication_factor": 1, **trusted, **settings}

    async def set_password(self, user: str, password: str) -> None:
        """Create the user, or change its password."""
        await asyncio.to_thread(self._set_password, user, password)

    def _set_password(self, user: str, password: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        kind = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(user, kind, password.encode())
        for answer in admin.alter_user_scram_credentials([change]).values():
            answer.result(60)

    def _listeners(self) -> dict[str, str]:
        addresses = {name.upper(): f"{HOST}:{port}" for name, port in self._ports.items()}
        advertised = {**addresses, "LOST": UNUSED_ADDRESS}
        del advertised["CONTROLLER"]
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **_PROTOCOLS}
        return {
            "listeners": _listener_list(addresses),
            "advertised.listeners": _listener_list(advertised),
            "controller.quorum.bootstrap.servers": self.listener_address("controller"),
            "listener.security.protocol.map": ",".join(f"{a}:{b}" for a, b in protocols.items()),
            "num.network.threads": "1",
            **STEADY,
        }

    def _certificates(self) -> dict[str, str]:
        good = self.authority.issue("broker")
        expired = self.expired_certificate
        elsewhere = self.authority.issue("elsewhere", ["kafka-1.example.com", "10.0.0.1"])
        stores = {"EXPIRED": expired, "ELSEWHERE": elsewhere}
        properties: dict[str, str | Path] = {
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.file,
            "listener.name.mutual.ssl.client.auth": "required",
        }
        for name, protocol in _PROTOCOLS.items():
            if protocol.endswith("SSL"):
                properties[f"listener.name.{name.lower()}.ssl.keystore.type"] = "PEM"
                properties[f"listener.name.{name.lower()}.ssl.keystore.location"] = stores.get(
                    name, good
                ).combined_file
        return {name: str(value) for name, value in properties.items()}

    def _logins(self) -> dict[str, str]:
        properties: dict[str, str] = {}
        for name in ("scram", "clear"):
            properties[f"listener.name.{name}.sasl.enabled.mechanisms"] = "SCRAM-SHA-512"
            properties[f"listener.name.{name}.scram-sha-512.sasl.jaas.config"] = _SCRAM
        for name in ("oauth", "short"):
            listener = f"listener.name.{name}"
            properties |= {
                f"{listener}.sasl.enabled.mechanisms": "OAUTHBEARER",
                f"{listener}.oauthbearer.sasl.jaas.config": f"{_OAUTH}LoginModule required;",
                f"{listener}.oauthbearer.sasl.server.callback.handler.class": f"{_OAUTH}ValidatorCallbackHandler",
                f"{listener}.sasl.oauthbearer.jwks.endpoint.url": self._keys_file.as_uri(),
                f"{listener}.sasl.oauthbearer.expected.audience": AUDIENCE,
                f"{listener}.sasl.oauthbearer.expected.issuer": ISSUER_NAME,
            }
        return properties | {"listener.name.short.connections.max.reauth.ms": str(SESSION_SECONDS * 1000)}

    async def _run(self, runtime: java.Java, log_directory: Path, *command: str) -> Any:
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self._keys_file.as_uri()}"
        if "format" in command:
            users = ("--add-scram", f"SCRAM-SHA-512=[name={self.user},password={self.password}]")
            command = (*command[:-1], *users, command[-1])
        return await super()._run(runtime, log_directory, allowed, *command)


def _listener_list(addresses: dict[str, str]) -> str:
    return ",".join(f"{name}://{address}" for name, address in addresses.items())
