"""Checks of organizations and destinations: what running services report, and a test from this process."""

import difflib
from collections.abc import Collection, Mapping

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig
from consumer.destinations.outcome import Partial, Sent
from consumer.offsets.backup import destination_status_key
from consumer.targets.target import Pause
from management.check_results import Check, CheckResult, ShellTest, combine, paused_result
from management.connection_test import LocalFaultError, verify_connection
from management.context import OperatorContext
from producer.status_reporter import status_key
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.organizations import Organization
from relay.status.model import Status


def organization_checks(
    context: OperatorContext, found: Mapping[str, Organization], statuses: Mapping[str, Status]
) -> dict[str, Check]:
    """Return a check for each organization, by subject."""
    return {
        f"organization {name}": _organization_check(context, found, statuses.get(status_key(name)), name)
        for name in sorted(found)
    }


def destination_checks(
    context: OperatorContext,
    destinations: Mapping[str, DestinationConfig],
    statuses: Mapping[str, Status],
    organizations: Collection[str] | None,
    pauses: Mapping[str, Pause],
) -> dict[str, Check]:
    """Return a check for each destination, by subject. Destinations receive a request without events.

    `organizations`: all that there are; None: that is not known. `pauses`: by operators, as far as known.
    """
    return {
        f"destination {name}": _destination_check(
            context,
            name,
            config,
            statuses.get(destination_status_key(name)),
            organizations,
            pauses.get(name),
        )
        for name, config in destinations.items()
    }


def _organization_check(
    context: OperatorContext, found: Mapping[str, Organization], status: Status | None, name: str
) -> Check:
    subject = f"organization {name}"

    async def check() -> CheckResult:
        if found[name].paused:
            return CheckResult(subject, "unknown", "not tested, because it is paused")
        return _combined(
            context, subject, "producers", status, await _test_organization(context, found, name)
        )

    return check


async def _test_organization(
    context: OperatorContext, found: Mapping[str, Organization], name: str
) -> ShellTest:
    try:
        message = await verify_connection(context, found[name], found)
    except LocalFaultError as error:
        return ShellTest("failed", str(error).removeprefix(f"{name}: "))
    except RelayError as error:
        return ShellTest("refused", str(error).removeprefix(f"{name}: "))
    return ShellTest("passed", message.removeprefix(f"{name}: ").removesuffix("."))


def _destination_check(
    context: OperatorContext,
    name: str,
    config: DestinationConfig,
    status: Status | None,
    organizations: Collection[str] | None,
    pause: Pause | None,
) -> Check:
    async def check() -> CheckResult:
        own = context.connection.kafka
        test = await _test_destination(name, config, context.author, organizations, own)
        subject = f"destination {name}"
        if pause is not None:
            return paused_result(subject, name, pause, test)
        return _combined(context, subject, "consumers", status, test)

    return check


async def _test_destination(
    name: str,
    config: DestinationConfig,
    user: str,
    organizations: Collection[str] | None = None,
    own: KafkaConfig = KafkaConfig(),  # noqa: B008 - a frozen value
) -> ShellTest:
    kind = DESTINATIONS[config.kind]
    try:
        async with kind.open_beside(name, config, own) as streams:
            by_address = {stream.address: stream for stream in streams.values()}
            accepted = []
            for address, stream in by_address.items():
                outcome = await stream.probe()
                if not isinstance(outcome, Sent):
                    reason = "" if isinstance(outcome, Partial) else f" {outcome.reason}"
                    return ShellTest(
                        "failed", f"{address} did not accept a request without events.{reason}", user
                    )
                accepted.append(f"{address} ({outcome.note})" if outcome.note else address)
            routed = {organization for stream in streams.values() for organization in stream.limits.routes}
    except RelayError as error:
        return ShellTest("failed", str(error).removeprefix(f"{name}: "), user)
    if organizations is not None and (unknown := routed - set(organizations)):
        return ShellTest("refused", _unknown_route_text(min(unknown), organizations), user)
    return ShellTest("passed", f"accepts requests: {'; '.join(accepted)}", user)


def _combined(
    context: OperatorContext, subject: str, services: str, status: Status | None, test: ShellTest
) -> CheckResult:
    grace_ms = int(context.timing.waiting_grace_seconds * 1000)
    return combine(subject, services, status, test, context.now_ms(), grace_ms)


def _unknown_route_text(name: str, organizations: Collection[str]) -> str:
    near = difflib.get_close_matches(name, list(organizations), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return (
        f"by_organization names {name}, which is no organization{hint}, so no event goes by this line. Correct the name, or add the"
        " organization."
    )
