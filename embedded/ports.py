"""Ports on loopback."""

import errno
import random
import socket

from embedded.errors import EmbeddedKafkaError
from embedded.properties import HOST

# Systems use higher ports for outgoing connections. A client that keeps trying to reach a stopped Kafka on such a port
# would at last connect to itself.
_PORT_RANGE = range(15_000, 30_000)


def pick_free_port() -> int:
    """Return a port that is free now."""
    return next(port for port in random.sample(_PORT_RANGE, 1000) if is_free(port))


def is_free(port: int) -> bool:
    """Return whether a port is free. Raises EmbeddedKafkaError if it cannot be used at all."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise EmbeddedKafkaError(
                    f"Port {port} cannot be used ({error.strerror}): set embedded.port to another one."
                ) from error
            return False
        return True


def require_free(port: int) -> None:
    """Raise EmbeddedKafkaError if the port is in use."""
    if not is_free(port):
        raise EmbeddedKafkaError(
            f"Port {port} on {HOST} is in use by another program: stop it, or set embedded.port "
            "to another port. If that program is the Kafka to use, set kafka.bootstrap to it."
        )
