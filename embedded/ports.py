"""Ports on loopback."""

import errno
import os
import random
import socket
from collections import deque

from embedded.errors import EmbeddedKafkaError
from embedded.properties import HOST

# Systems use higher ports for outgoing connections. A client that keeps trying to reach a stopped Kafka on such a port
# would at last connect to itself.
_PORT_RANGE = range(15_000, 30_000)
_PART = 1_000
"""Ports of one process; processes that start one after the other have different parts of the range."""
_recent: deque[int] = deque(maxlen=_PART // 2)
"""Ports that this process has picked: between the choice and the bind of a JVM lie seconds."""


def pick_free_port() -> int:
    """Return a port that is free now, and that neither this process nor one that starts with it is about to bind."""
    own = _PORT_RANGE[os.getpid() * _PART % len(_PORT_RANGE) :][:_PART]
    candidates = random.sample(own, _PART) + random.sample(_PORT_RANGE, _PART)
    port = next(port for port in candidates if port not in _recent and is_free(port))
    _recent.append(port)
    return port


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
