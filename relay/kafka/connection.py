"""The connection to one Kafka cluster."""

from dataclasses import dataclass, field
from typing import Any

from relay.config.kafka import KafkaConfig
from relay.credentials.stores.stored_secret import stored_secrets_in
from relay.errors import RelayError
from relay.kafka.certificate_files import CertificateFiles
from relay.kafka.diagnostics.login import ConnectionFault, connection_fault
from relay.kafka.diagnostics.probe import DEFAULT_TIMING, ProbeTiming
from relay.kafka.oauth import OAuthTokenProvider, create_token_provider
from relay.kafka.profile import Profile, profile_named

NO_CLUSTER = "No Kafka cluster is set: set kafka.bootstrap (RELAY_KAFKA__BOOTSTRAP) to host:port,host:port"


class KafkaUnreachableError(RelayError):
    """No broker accepts the connection. The message names the cause.

    `refused`: a broker refuses what the settings say; otherwise the fault may pass.
    """

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Connection:
    """The settings of one Kafka cluster, from which every client is built."""

    kafka: KafkaConfig
    client_id: str = "jira-audit-relay"
    patience: float = 1.0
    """By what its readers, writers and admin clients multiply the time that they wait for Kafka."""
    _token_provider: OAuthTokenProvider | None = field(init=False, repr=False, compare=False)
    _certificates: CertificateFiles = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_certificates", CertificateFiles(self.kafka))
        object.__setattr__(self, "_token_provider", create_token_provider(self.kafka))

    @property
    def bootstrap(self) -> str:
        if self.kafka.bootstrap is None:
            raise RelayError(f"{NO_CLUSTER}.")
        return self.kafka.bootstrap

    @property
    def profile(self) -> Profile:
        return profile_named(self.kafka.profile)

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of every aiokafka client.

        Idle connections are closed before Azure drops them, after 240 s (Event Hubs, "Apache Kafka client
        configurations").
        """
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client_id,
            "metadata_max_age_ms": 180_000,
            "connections_max_idle_ms": 180_000,
            **self.login(),
        }

    def login(self) -> dict[str, Any]:
        """Return what a connection logs in with, as files and stores have it now.

        Raises RelayError for certificates that cannot be used, unless others were read before.
        """
        options: dict[str, Any] = {"security_protocol": self.kafka.security_protocol}
        if "SSL" in self.kafka.security_protocol:
            options["ssl_context"] = self._certificates.context()
        if self.kafka.sasl_mechanism is not None:
            options["sasl_mechanism"] = self.kafka.sasl_mechanism
            options["sasl_plain_username"] = self.kafka.sasl_username
            password = self.kafka.sasl_password
            options["sasl_plain_password"] = password.get_secret_value() if password else None
            options["sasl_oauth_token_provider"] = self._token_provider
        return options

    async def verify(self, timing: ProbeTiming | None = None) -> None:
        """Connect, log in and fetch the brokers, as every client does. `timing` None: the default, with this patience.

        Raises KafkaUnreachableError, which names the cause and holds no secret.
        """
        fault = await self._fault(timing)
        if fault is not None and fault.refused and await self._reread_secrets():
            fault = await self._fault(timing)
        if fault is not None:
            raise KafkaUnreachableError(fault.text, refused=fault.refused)

    async def _fault(self, timing: ProbeTiming | None) -> ConnectionFault | None:
        return await connection_fault(
            self.kafka,
            self.bootstrap,
            self.login() | {"client_id": self.client_id},
            timing or DEFAULT_TIMING.times(self.patience),
        )

    async def _reread_secrets(self) -> bool:
        """Ask the stores anew, since the login was refused. Return whether a secret is another one now."""
        return any([await secret.reread() for secret in stored_secrets_in(self.kafka)])
