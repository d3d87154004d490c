"""Connect to Kafka step by step, as every client does. messages.py explains the step that fails."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.errors import IllegalSaslStateError, IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.protocol.admin import SaslAuthenticateRequest, SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from relay.config.kafka import KafkaConfig
from relay.kafka.diagnostics import messages
from relay.kafka.diagnostics.messages import ConnectionProblem
from relay.kafka.diagnostics.probe import (
    CONNECTION_ERRORS,
    DEFAULT_TIMING,
    BrokerAddress,
    BrokerProbe,
    ProbeTiming,
    connect,
)
from relay.kafka.oauth import OAuthTokenError


@dataclass(frozen=True, slots=True)
class ConnectionFault:
    """Why no broker accepts the connection: a sentence for each cause, without a secret.

    `refused`: a broker refuses what the settings say; otherwise the fault may pass.
    """

    text: str
    refused: bool


async def connection_fault(
    kafka: KafkaConfig,
    bootstrap: str,
    security: Mapping[str, Any],
    timing: ProbeTiming = DEFAULT_TIMING,
) -> ConnectionFault | None:
    """Return what keeps all brokers from accepting the connection; None: one accepts it.

    `security`: connection options of aiokafka.
    """
    causes: dict[str, list[str]] = {}
    was_refused = False
    for host, port, _ in collect_hosts(bootstrap, randomize=False):
        probe = BrokerProbe(BrokerAddress(host, port), kafka, security, timing)
        try:
            await _probe_advertised(probe)
        except ConnectionProblem as refused:
            causes.setdefault(str(refused), []).append(str(probe.broker))
            was_refused = was_refused or refused.refused
        else:
            return None
    text = " ".join(f"Kafka at {', '.join(brokers)} {cause}" for cause, brokers in causes.items())
    return ConnectionFault(text, was_refused)


async def _probe_advertised(probe: BrokerProbe) -> None:
    """Probe a broker, then the addresses that it advertises, which every client uses next."""
    advertised = await _probe(probe)
    if not advertised:
        raise messages.no_broker_named()
    if probe.broker in advertised:
        return
    causes: list[ConnectionProblem] = []
    for broker in advertised:
        try:
            await _probe(replace(probe, broker=broker))
        except ConnectionProblem as refused:
            causes.append(messages.wrong_advertised_listener(broker, refused))
        else:
            return
    if causes:
        raise causes[0]


async def _probe(probe: BrokerProbe) -> list[BrokerAddress]:
    """Return the brokers that this one knows."""
    try:
        async with asyncio.timeout(probe.timing.broker_seconds):
            return await _probe_steps(probe)
    except TimeoutError:
        raise messages.timed_out(probe.timing.broker_seconds) from None


async def _probe_steps(probe: BrokerProbe) -> list[BrokerAddress]:
    try:
        async with connect(probe) as connection:
            if probe.sasl:
                await _log_in(probe, connection)
            return await _fetch_brokers(probe, connection)
    except (NotImplementedError, IncompatibleBrokerVersion):
        raise messages.unsupported_version() from None
    except CONNECTION_ERRORS as error:
        raise await messages.diagnose_closed(probe, error) from None


async def _fetch_brokers(probe: BrokerProbe, connection: AIOKafkaConnection) -> list[BrokerAddress]:
    try:
        answer = await connection.send(MetadataRequest([]))
    except KafkaConnectionError:
        raise await messages.closed_after_connect(probe) from None
    return [BrokerAddress(host, port) for _, host, port, *_ in answer.brokers]


async def _log_in(probe: BrokerProbe, connection: AIOKafkaConnection) -> None:
    """Log in as aiokafka does, which does not report the broker's message."""
    mechanism = probe.kafka.sasl_mechanism
    offer = await connection.send(SaslHandShakeRequest(mechanism))
    if offer.error_code == IllegalSaslStateError.errno:
        raise messages.login_not_expected(probe)
    if mechanism not in offer.enabled_mechanisms:
        raise messages.mechanism_not_offered(probe, offer.enabled_mechanisms)
    try:
        await _authenticate(probe, connection)
    except OAuthTokenError as error:
        raise ConnectionProblem(f"requires a token, and none is available: {error.sentence}") from None
    except (ValueError, AssertionError, LookupError):
        raise messages.unexpected_login_answer(probe) from None


async def _authenticate(probe: BrokerProbe, connection: AIOKafkaConnection) -> None:
    authenticator = {
        "PLAIN": connection.authenticator_plain,
        "OAUTHBEARER": connection.authenticator_oauth,
    }.get(str(probe.kafka.sasl_mechanism), connection.authenticator_scram)()
    challenge: bytes | None = None
    while (step := await authenticator.step(challenge)) is not None:
        answer = await connection.send(SaslAuthenticateRequest(step[0]))
        if answer.error_code:
            raise messages.login_rejected(probe, answer.error_message)
        challenge = answer.sasl_auth_bytes
