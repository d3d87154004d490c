"""Why Kafka does not let us in: the way of every client, gone step by step. What a step's failure means is in refusals.py."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.errors import IllegalSaslStateError, IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.protocol.admin import SaslAuthenticateRequest, SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from relay.config.kafka import Kafka
from relay.kafka.diagnostics import messages
from relay.kafka.diagnostics.messages import Refusal
from relay.kafka.diagnostics.probe import NOT_DONE, Broker, Door, opened
from relay.kafka.oauth import NoTokenError

BROKER_SECONDS = 30.0


async def refusal(kafka: Kafka, bootstrap: str, security: Mapping[str, Any]) -> str | None:
    """Why no broker lets us in, in a sentence for each reason; None where one does.

    `security`: what aiokafka's connections need to know. No sentence holds a secret.
    """
    causes: dict[str, list[str]] = {}
    for host, port, _ in collect_hosts(bootstrap, randomize=False):
        door = Door(Broker(host, port), kafka, security)
        try:
            await _pass_and_go_on(door)
        except Refusal as refused:
            causes.setdefault(str(refused), []).append(str(door.broker))
        else:
            return None
    return " ".join(f"Kafka at {', '.join(brokers)} {cause}" for cause, brokers in causes.items())


async def _pass_and_go_on(door: Door) -> None:
    """Clients begin at one address, and go on at those that brokers give for themselves."""
    named = await _pass(door)
    if door.broker in named:
        return
    causes: list[Refusal] = []
    for broker in named:
        try:
            await _pass(Door(broker, door.kafka, door.security))
        except Refusal as refused:
            causes.append(messages.wrong_address(broker, refused))
        else:
            return
    if causes:
        raise causes[0]


async def _pass(door: Door) -> list[Broker]:
    """The brokers that this one knows."""
    try:
        async with asyncio.timeout(BROKER_SECONDS):
            return await _pass_in_time(door)
    except TimeoutError:
        raise messages.too_slow(BROKER_SECONDS) from None


async def _pass_in_time(door: Door) -> list[Broker]:
    try:
        async with opened(door) as connection:
            if door.sasl:
                await _log_in(door, connection)
            return await _brokers(door, connection)
    except (NotImplementedError, IncompatibleBrokerVersion):
        raise messages.too_different() from None
    except NOT_DONE as error:
        raise await messages.closed(door, error) from None


async def _brokers(door: Door, connection: AIOKafkaConnection) -> list[Broker]:
    try:
        answer = await connection.send(MetadataRequest([]))
    except KafkaConnectionError:
        raise await messages.cut_off(door) from None
    return [Broker(host, port) for _, host, port, *_ in answer.brokers]


async def _log_in(door: Door, connection: AIOKafkaConnection) -> None:
    """As aiokafka does it, which does not tell what the broker has said."""
    mechanism = door.kafka.sasl_mechanism
    offer = await connection.send(SaslHandShakeRequest(mechanism))
    if offer.error_code == IllegalSaslStateError.errno:
        raise messages.no_login(door)
    if mechanism not in offer.enabled_mechanisms:
        raise messages.other_mechanisms(door, offer.enabled_mechanisms)
    try:
        await _authenticate(door, connection)
    except NoTokenError as error:
        raise Refusal(f"cannot be logged in to: {error.sentence}") from None
    except (ValueError, AssertionError, LookupError):
        raise messages.strange_login(door) from None


async def _authenticate(door: Door, connection: AIOKafkaConnection) -> None:
    authenticator = {
        "PLAIN": connection.authenticator_plain,
        "OAUTHBEARER": connection.authenticator_oauth,
    }.get(str(door.kafka.sasl_mechanism), connection.authenticator_scram)()
    said: bytes | None = None
    while (step := await authenticator.step(said)) is not None:
        answer = await connection.send(SaslAuthenticateRequest(step[0]))
        if answer.error_code:
            raise messages.login_refused(door, answer.error_message)
        said = answer.sasl_auth_bytes
