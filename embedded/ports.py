import errno
import random
import socket

from embedded.errors import EmbeddedKafkaError
from embedded.properties import HOST

# Below the ports that systems draw for outgoing connections: a client that tries again and again to reach a stopped Kafka on
# one of those ends up connected to itself.
_PORT_RANGE = range(15_000, 30_000)


def pick_free_port() -> int:
    """Return a port that is free now."""
    return next(port for port in random.sample(_PORT_RANGE, 1000) if is_free(port))


def is_free(port: int) -> bool:
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
    if not is_free(port):
        raise EmbeddedKafkaError(
            f"Port {port} on {HOST} is taken by another program: stop that one, set embedded.port to another port, or, if it is "
            "the Kafka you mean, set kafka.bootstrap to it."
        )
