"""The credential and the certificates of a destination by HTTPS: read at the start, and again when they are refused.

They are in files, or in stores of secrets that references name.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from consumer.destinations.certificate_settings import CertificateSettings
from consumer.destinations.connection import tls_context
from consumer.destinations.outcome import Outcome, Paused, Retry
from relay.credentials.redaction import Redactor
from relay.credentials.stores.stored_secret import stored_secrets_in
from relay.errors import RelayError

C = TypeVar("C")
R = TypeVar("R")


class CredentialFiles(Generic[C]):
    """What a client logs in with, as its files are now: a rotation needs no restart, and costs no request.

    `current`: the credential. `tls`: the context, whose certificates are those of the files at each new connection. `redact`: hides each secret that was ever read.
    """

    def __init__(
        self,
        name: str,
        config: CertificateSettings,
        load: Callable[[], C],
        secrets: Callable[[C], Iterable[str]],
    ) -> None:
        """`load` reads the credential and raises RelayError; `secrets` returns what no text may show of it.

        Raises RelayError for a file that cannot be used.
        """
        self._config = config
        self._load = load
        self._secrets = secrets
        self._fault: RelayError | None = None
        """Why a file that was read before cannot be read now."""
        self.redact = Redactor()
        self.current = self._read()
        self.tls = tls_context(name, config)

    async def request(self, send: Callable[[], Awaitable[R]], is_refused: Callable[[R], bool]) -> R:
        """Make a request, and one more if it is refused and its credential is another one now, in its file or its store."""
        used = self.current
        answer = await send()
        if is_refused(answer):
            for secret in stored_secrets_in(self._config):
                await secret.reread()
            self.reload()
            if self.current != used:
                return await send()
        return answer

    def reload(self) -> None:
        """Read the files again. A file that cannot be used may be half written: what was read before goes on."""
        try:
            self.current = self._read()
            self.tls.reload()
            self._fault = None
        except RelayError as error:
            self._fault = error

    def explain(self, outcome: Outcome) -> Outcome:
        """Add to a Paused or a Retry why a file cannot be read."""
        if self._fault is not None and isinstance(outcome, Paused | Retry):
            return replace(outcome, reason=f"{outcome.reason} {self._fault}")
        return outcome

    def _read(self) -> C:
        credential = self._load()
        for secret in self._secrets(credential):
            self.redact.add(secret)
        return credential
