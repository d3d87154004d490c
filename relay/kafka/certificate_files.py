"""The certificates of the connections to Kafka, as their files have them now."""

import ssl
from pathlib import Path

import structlog

from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.file_stamps import FileStamp, file_stamps
from relay.telemetry.condition_log import ConditionLog


class CertificateFiles:
    """Makes a TLS context of the files, and another one when a file has changed. Connections that begin later use it.

    Files that cannot be used, such as a half-written one, or a certificate without its new key, leave the context of before.
    """

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._context: ssl.SSLContext | None = None
        self._read: list[FileStamp | None] = []
        """What the files were when the context was made."""
        self._log = ConditionLog(structlog.get_logger(__name__))

    def context(self) -> ssl.SSLContext:
        """Return the context. Raises RelayError if none was ever made."""
        stamps = file_stamps(self._files())
        if self._context is None or stamps != self._read:
            try:
                self._context, self._read = _create_context(self._kafka), stamps
            except RelayError as error:
                if self._context is None:
                    raise
                message = f"{error} New connections use the certificates that were read before."
                self._log.failed("certificates", str(error), message)
                return self._context
        self._log.ended("certificates", "Certificate files for Kafka can be used again; they could not be")
        return self._context

    def _files(self) -> list[Path]:
        kafka = self._kafka
        return [each for each in (kafka.ca_file, kafka.certificate_file, kafka.key_file) if each is not None]


def _create_context(kafka: KafkaConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ca_file)
        if kafka.certificate_file is not None:
            # Without a password, OpenSSL would wait for one on the terminal if the key is encrypted.
            context.load_cert_chain(kafka.certificate_file, kafka.key_file, password="")
    except (OSError, ssl.SSLError) as error:
        raise RelayError(
            f"A certificate file for Kafka cannot be used: {error}. Check "
            "kafka.ca_file, kafka.certificate_file and kafka.key_file."
        ) from error
    return context
