"""The certificates of the connections to Kafka, as their files have them now."""

import ssl
from functools import partial

from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.file_stamps import file_stamps
from relay.followed_value import FollowedValue


class CertificateFiles:
    """Makes a TLS context of the files, and another one when a file has changed. Connections that begin later use it."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._followed: FollowedValue[ssl.SSLContext] | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context. Raises RelayError if none was ever made."""
        if self._followed is None:
            kafka = self._kafka
            names = (kafka.ca_file, kafka.certificate_file, kafka.key_file)
            files = [each for each in names if each is not None]
            self._followed = FollowedValue(
                "Certificate files for Kafka", lambda: file_stamps(files), partial(_create_context, kafka)
            )
        return self._followed.current()


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
