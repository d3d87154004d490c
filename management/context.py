"""The context of an operator's work: connections, credentials and identity."""

from collections.abc import Callable
from dataclasses import dataclass, field

from management.timing import OperatorTiming
from producer.sources.contract import ConnectionTest, InputRules
from relay.config.secrets import SecretsConfig
from relay.credentials.resolver import CredentialResolver
from relay.kafka.connection import Connection


@dataclass(frozen=True, slots=True)
class OperatorContext:
    """The means to change and test organizations. `author` is the operator's name in the change log; `now_ms` returns ms UTC."""

    connection: Connection
    connection_test: ConnectionTest
    input_rules: InputRules
    secrets: SecretsConfig
    credentials: CredentialResolver
    author: str
    now_ms: Callable[[], int]
    timing: OperatorTiming = field(default_factory=OperatorTiming)
