"""The connection to one Kafka cluster."""

import ssl
from dataclasses import dataclass, field
from typing import Any

from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka.diagnostics.login import connection_fault
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

    def __post_init__(self) -> None:
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
            **self._security(),
        }

    def _security(self) -> dict[str, Any]:
        options: dict[str, Any] = {"security_protocol": self.kafka.security_protocol}
        if "SSL" in self.kafka.security_protocol:
            options["ssl_context"] = self._ssl_context()
        if self.kafka.sasl_mechanism is not None:
            options["sasl_mechanism"] = self.kafka.sasl_mechanism
            options["sasl_plain_username"] = self.kafka.sasl_username
            password = self.kafka.sasl_password
            options["sasl_plain_password"] = password.get_secret_value() if password else None
            options["sasl_oauth_token_provider"] = self._token_provider
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.kafka.ca_file)
            if self.kafka.certificate_file is not None:
                # Without a password, OpenSSL would wait for one on the terminal if the key is encrypted.
                context.load_cert_chain(self.kafka.certificate_file, self.kafka.key_file, password="")
        except (OSError, ssl.SSLError) as error:
            raise RelayError(
                f"A certificate file for Kafka cannot be used: {error}. Check "
                "kafka.ca_file, kafka.certificate_file and kafka.key_file."
            ) from error
        return context

    async def verify(self, timing: ProbeTiming | None = None) -> None:
        """Connect, log in and fetch the brokers, as every client does. `timing` None: the default, with this patience.

        Raises KafkaUnreachableError, which names the cause and holds no secret.
        """
        fault = await connection_fault(
            self.kafka,
            self.bootstrap,
            self._security() | {"client_id": self.client_id},
            timing or DEFAULT_TIMING.times(self.patience),
        )
        if fault is not None:
            raise KafkaUnreachableError(fault.text, refused=fault.refused)
