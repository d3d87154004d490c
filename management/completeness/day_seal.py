"""The seal of a day: what the relay signs about one organization and UTC day. Pure."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from management.completeness.merkle import leaves_of, root_of
from management.completeness.proof import DayAccount
from management.completeness.signature import SignedStatement, SigningKey
from management.completeness.verifier import FORMAT, NO_SEAL, SealChain, canonical_text
from management.formatting import iso_milliseconds


def next_seal(
    chain: SealChain, account: DayAccount, key: SigningKey, sealed_at: int, reason: str = ""
) -> SignedStatement:
    """Return the seal that continues an organization's chain with a day. `sealed_at`: ms UTC. `reason`: why a sealed day is sealed again."""
    before = chain.days.get(account.day)
    leaves = leaves_of(account.kafka.events)
    document = account.document()
    statement = {
        "kind": "seal",
        "format": FORMAT,
        "organization": account.organization,
        "day": account.day,
        "sequence": chain.sequence + 1,
        "previous": chain.head,
        "edition": 1 if before is None else before["edition"] + 1,
        "replaces": NO_SEAL if before is None else chain.hashes[account.day],
        "days_left_out": 0 if before is not None else _days_left_out(chain, account.day),
        "sealed_at": iso_milliseconds(sealed_at),
        "events": len(leaves),
        "root": root_of(leaves).hex(),
        **document,
        "reason": " ".join(filter(None, (reason, document["reason"]))),
    }
    return key.sign(statement)


def day_account(account: DayAccount, counted_at: int) -> SignedStatement:
    """Return the unsigned account of a day that has no seal yet: the statement of a seal without its place in a chain."""
    leaves = leaves_of(account.kafka.events)
    statement = {
        "kind": "account",
        "format": FORMAT,
        "organization": account.organization,
        "day": account.day,
        "sequence": 0,
        "edition": 0,
        "counted_at": iso_milliseconds(counted_at),
        "events": len(leaves),
        "root": root_of(leaves).hex(),
        **account.document(),
    }
    return SignedStatement(canonical_text(statement), b"")


def _days_left_out(chain: SealChain, day: str) -> int:
    before = chain.day_before(date.fromisoformat(day))
    return 0 if before is None else (date.fromisoformat(day) - before).days - 1


def changes_since(seal: Mapping[str, Any], account: DayAccount) -> list[str]:
    """Return what a day has now that its latest seal says otherwise, as sentences. Empty: the seal is still true.

    Where the audit log was not listed now, what the seal says of it still counts.
    """
    leaves = leaves_of(account.kafka.events)
    now = account.document()
    found = []
    if root_of(leaves).hex() != seal["root"]:
        found.append(
            f"The events have changed since edition {seal['edition']}: there were {seal['events']}, and there are {len(leaves)}."
        )
    found += [
        f"{name} was {seal['destinations'].get(name, {}).get('counts')} and is {each['counts']}."
        for name, each in now["destinations"].items()
        if seal["destinations"].get(name) != each
    ]
    found += [
        f"{name} is no destination now." for name in seal["destinations"] if name not in now["destinations"]
    ]
    if account.source is None or account.source.failure is not None:
        before, after = (_known(each["differences"], account) for each in (seal, now))
        return found if before == after else [*found, "What Kafka and the ledger have differs in other ways."]
    if seal["differences"] != now["differences"] or seal["state"] != now["state"]:
        found.append(f"The state was {seal['state']} and is {now['state']}.")
    return found


def _known(differences: Mapping[str, Any], account: DayAccount) -> Mapping[str, Any]:
    """Return the differences that can be known without the audit log, and with the ledger as far as it is kept."""
    kinds = {"repeated"} if account.kafka.ledger is None else {"deleted", "unrecorded", "repeated"}
    return {kind: found for kind, found in differences.items() if kind in kinds}
