"""Edits of organizations by operators, through management, as the command line makes them."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from management.organizations.editor import OrganizationEdit, StaleEditError, edit_organization
from management.organizations.store import read_organizations
from relay.credentials.keyring import CredentialOwner
from relay.errors import RelayError
from relay.organizations import Organization
from relay.timestamps import DAY_MS, now_ms
from simulators.jira_cloud.site import SimulatedSite
from tests.chaos.proof_judge import PAST_DAYS
from tests.chaos.world import ChaosWorld

EDIT_TIMEOUT_SECONDS = 240.0
HISTORY_MS = 7_200_000
"""The backfill begins this long before the round, and so before the first record of any site."""


class Operators:
    """Makes edits, and repeats each until it succeeds, also while Kafka is away."""

    def __init__(self, world: ChaosWorld, rng: random.Random) -> None:
        self.violations: list[str] = []
        """Breaches of management: two edits of one revision that both passed, or an error that is not a RelayError."""
        self._world = world
        self._rng = rng
        self._started = now_ms()

    async def add(self, site: SimulatedSite) -> None:
        await self.change(site.name, lambda _before: self._organization(site), "added")

    async def pause(self, name: str) -> None:
        await self.change(name, lambda before: before and replace(before, state="paused"), "paused")

    async def resume(self, name: str) -> None:
        await self.change(name, lambda before: before and replace(before, state="active"), "resumed")

    async def modify(self, name: str, seconds: int | None) -> None:
        await self.change(
            name, lambda before: before and replace(before, interval_seconds=seconds), "modified"
        )

    async def delete(self, name: str) -> None:
        await self.change(name, lambda _before: None, "deleted")

    async def rotate_key(self, site: SimulatedSite, delay_seconds: float) -> None:
        """Revoke the key of a site, and give the relay the new one `delay_seconds` later."""
        site.rotate_tokens()
        await asyncio.sleep(delay_seconds)
        if _uses_api_key_file(site):
            self._write_key(site)
        else:
            await self.change(
                site.name, lambda before: before and self._with_sealed_key(before, site), "new key"
            )

    async def edit_concurrently(self, name: str) -> str:
        """Make two edits of the same revision, of which at most one may pass. Return the results as words."""
        try:
            before = (await read_organizations(self._world.connection)).get(name)
        except RelayError as error:
            return f"could not read the organization: {error}"
        if before is None:
            return "the organization does not exist"
        intervals = self._rng.sample(range(2, 50), 2)
        results = await asyncio.gather(
            *(self._attempt_edit(name, before.etag, seconds) for seconds in intervals)
        )
        if results.count("done") > 1:
            self.violations.append(f"{name}: two edits of revision {before.revision} both passed")
        await self.modify(name, None)
        return " and ".join(results)

    async def _attempt_edit(self, name: str, etag: str, seconds: int) -> str:
        def change(before: Organization | None) -> Organization | None:
            return before and replace(before, interval_seconds=seconds)

        try:
            await edit_organization(
                self._world.connection,
                name,
                change,
                action="one of two",
                author="chaos",
                now_ms=now_ms(),
                etag=etag,
            )
        except StaleEditError:
            return "refused as stale"
        except RelayError:
            return "failed"
        except Exception as error:  # noqa: BLE001
            self._record_violation(name, error)
            return "failed"
        return "done"

    async def change(self, name: str, change: OrganizationEdit, what: str) -> None:
        async with asyncio.timeout(EDIT_TIMEOUT_SECONDS):
            while True:
                try:
                    await edit_organization(
                        self._world.connection, name, change, action=what, author="chaos", now_ms=now_ms()
                    )
                except RelayError:
                    pass
                except Exception as error:  # noqa: BLE001
                    self._record_violation(name, error)
                else:
                    return
                await asyncio.sleep(self._rng.uniform(0.2, 1))

    def _record_violation(self, name: str, error: Exception) -> None:
        self.violations.append(f"{name}: an edit ended with {type(error).__name__}: {error}")

    def _organization(self, site: SimulatedSite) -> Organization:
        organization = Organization(
            name=site.name,
            url=site.url,
            user=site.user,
            added=now_ms() - PAST_DAYS * DAY_MS * self._world.is_old(site.name),
            modified=now_ms(),
            revision=0,
            gateway=_uses_gateway(site),
            backfill_from=self._started - HISTORY_MS,
        )
        if _uses_api_key_file(site):
            self._write_key(site)
            reference = f"file:{site.name}"
            sealed = self._world.keyring.seal_reference(reference, _owner(organization))
            return replace(organization, credential_reference=reference, credential_ciphertext=sealed)
        return self._with_sealed_key(organization, site)

    def _with_sealed_key(self, organization: Organization, site: SimulatedSite) -> Organization:
        token = site.scoped_token if organization.gateway else site.token
        sealed = self._world.keyring.seal(SecretStr(token), _owner(organization))
        return replace(organization, credential_ciphertext=sealed)

    def _write_key(self, site: SimulatedSite) -> None:
        path = Path(self._world.key_directory / site.name)
        new_file = path.with_suffix(".new")
        new_file.write_text(site.token)
        new_file.replace(path)


def _owner(organization: Organization) -> CredentialOwner:
    return CredentialOwner(organization.name, organization.url, organization.user)


def _site_number(site: SimulatedSite) -> int:
    return int(site.name.rpartition("-")[2])


def _uses_api_key_file(site: SimulatedSite) -> bool:
    """Return whether its key is in a file, not in Kafka."""
    return _site_number(site) % 3 == 1


def _uses_gateway(site: SimulatedSite) -> bool:
    return _site_number(site) % 3 == 2
