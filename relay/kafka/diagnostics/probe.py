"""One broker, and single steps of a connection to it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import IllegalSaslStateError, KafkaError
from aiokafka.protocol.admin import SaslHandShakeRequest
from cryptography import x509

from relay.config.kafka import KafkaConfig

CONNECTION_ERRORS = (OSError, KafkaError, TimeoutError)
"""Errors of aiokafka for a connection, or a request on it, that fails."""


@dataclass(frozen=True, slots=True)
class ProbeTiming:
    """How long a probe waits, in seconds."""

    step_seconds: float = 5.0
    """For one connection, or one answer."""
    broker_seconds: float = 30.0
    """For all steps with one broker."""

    def times(self, patience: float) -> "ProbeTiming":
        """Return the bounds multiplied by `patience`."""
        return ProbeTiming(self.step_seconds * patience, self.broker_seconds * patience)


DEFAULT_TIMING = ProbeTiming()


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Host and port of a broker."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BrokerProbe:
    """A broker and how to connect to it. `security`: connection options of aiokafka."""

    broker: BrokerAddress
    kafka: KafkaConfig
    security: Mapping[str, Any]
    timing: ProbeTiming = DEFAULT_TIMING

    @property
    def tls(self) -> bool:
        return self.kafka.security_protocol.endswith("SSL")

    @property
    def sasl(self) -> bool:
        return self.kafka.security_protocol.startswith("SASL")


@asynccontextmanager
async def connect(probe: BrokerProbe, *, tls: bool | None = None) -> AsyncIterator[AIOKafkaConnection]:
    """Yield a connection to a server that speaks Kafka's protocol. Nobody has logged in yet. Raises CONNECTION_ERRORS."""
    protocol = "SSL" if (probe.tls if tls is None else tls) else "PLAINTEXT"
    options = {
        **probe.security,
        "security_protocol": protocol,
        "request_timeout_ms": int(probe.timing.step_seconds * 1000),
    }
    connection = await create_conn(probe.broker.host, probe.broker.port, **options)
    try:
        yield connection
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await connection.close()


async def accepts_connections(probe: BrokerProbe) -> bool:
    """Return whether something accepts a TCP connection at the broker's address."""
    try:
        async with asyncio.timeout(probe.timing.step_seconds):
            _, writer = await asyncio.open_connection(probe.broker.host, probe.broker.port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def speaks_plaintext(probe: BrokerProbe) -> bool:
    """Return whether the broker speaks Kafka's protocol without TLS."""
    try:
        async with connect(probe, tls=False):
            return True
    except CONNECTION_ERRORS:
        return False


async def fetch_certificate(probe: BrokerProbe) -> x509.Certificate | None:
    """Return the certificate of the broker, trusted or not. None if it does not speak TLS. Sends nothing to it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(probe.timing.step_seconds):
            _, writer = await asyncio.open_connection(probe.broker.host, probe.broker.port, ssl=context)
    except (OSError, TimeoutError):
        return None
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(certificate)


async def fetch_mechanisms(probe: BrokerProbe) -> list[str]:
    """Return the SASL mechanisms of the broker; empty if it requires no login."""
    try:
        async with connect(probe) as connection:
            offer = await connection.send(SaslHandShakeRequest("PLAIN"))
    except CONNECTION_ERRORS:
        return []
    return [] if offer.error_code == IllegalSaslStateError.errno else list(offer.enabled_mechanisms)
