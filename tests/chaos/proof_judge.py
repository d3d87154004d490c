"""The judge of the watch over days: after all faults its chains are whole, and no day differs that all hops agree on."""

import asyncio
import time
from collections.abc import Iterable, Mapping

from management.completeness.collect import ProofContext
from management.completeness.commands import export_seals
from management.completeness.seal_store import StoredChain, read_chains
from management.completeness.signature import SigningKey
from management.completeness.verifier import RefusedError, verify
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.timestamps import DAY_MS, day_of, now_ms
from tests.support import plain_verifier

PAST_DAYS = 4
"""So long ago was every second organization added, so that days of it are over."""
LATE_DAYS = 1
SEALED_DAYS = PAST_DAYS - LATE_DAYS - 1
"""The days at least that are over for an organization of that age."""
SEAL_SECONDS = 120.0
PROOF_KEY = bytes(range(32))


async def wait_for_seals(connection: Connection, names: Iterable[str]) -> list[str]:
    """Wait until days of these organizations are sealed, or the time is up. Return those that lack seals."""
    end, missing = time.monotonic() + SEAL_SECONDS, [*names]
    while missing and time.monotonic() < end:
        chains = await read_chains(connection)
        missing = [
            name for name in missing if name not in chains or len(chains[name].chain.days) < SEALED_DAYS
        ]
        await asyncio.sleep(1)
    return missing


async def proof_violations(connection: Connection, missing: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return facts and violations of the seals on their topic."""
    chains, key = await read_chains(connection), SigningKey(PROOF_KEY)
    violations = [f"{name}: no days were sealed within {SEAL_SECONDS:g} s" for name in missing]
    violations += [each for name, chain in chains.items() for each in _faults(name, chain)]
    context = ProofContext(connection, SchemaRegistryConfig(), {}, now_ms)
    first, last = day_of(now_ms() - 10 * DAY_MS), day_of(now_ms())
    try:
        data = await export_seals(context, key, (), first, last, ())
        verify(data, {key.name})
        if not plain_verifier.accepts(data, {key.name}):
            violations.append("The export of the seals is refused by the second verifier.")
    except (RelayError, RefusedError) as error:
        violations.append(f"The seals cannot be exported: {error}")
    return [_fact(chains)], violations


def _faults(name: str, chain: StoredChain) -> Iterable[str]:
    """Yield what is wrong with a chain. A seal may say pending or unproven, as a peer may have been away; no hop has other events."""
    if chain.fault is not None:
        yield f"{name}: its chain is broken: {chain.fault}"
    for each in chain.seals:
        if found := each.statement["differences"]:
            yield f"{name}, {each.statement['day']}: the seal has differences that are none: {found}"


def _fact(chains: Mapping[str, StoredChain]) -> str:
    seals = [each.statement for chain in chains.values() for each in chain.seals]
    states = {each["state"] for each in seals}
    events = sum(each["events"] for each in seals)
    later = sum(each["edition"] > 1 for each in seals)
    return f"{len(seals)} seals of {len(chains)} organizations ({', '.join(sorted(states))}) have {events} events; {later} are later editions."
