"""What operators do to organizations, through management, as the command line does."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from management.organizations.editor import Edit, StaleEditError, edit
from management.organizations.store import organizations
from relay.credentials.keyring import CredentialOwner
from relay.errors import RelayError
from relay.organizations import Organization
from relay.timestamps import now_ms
from simulators.jira_cloud.site import Site
from tests.chaos.world import World

TRY_SECONDS = 240.0
HISTORY_MS = 7_200_000
"""Before the beginning of everything that happens."""


class Operators:
    """Does things until they are done, however often Kafka says no."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.wrong: list[str] = []
        """What management must not do: let two edits of one revision pass, or fail without a sentence."""
        self._world = world
        self._chance = chance
        self._began = now_ms()

    async def add(self, site: Site) -> None:
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

    async def rotate(self, site: Site, blind_seconds: float) -> None:
        """The old key dies; the new one is given to the relay a while later."""
        site.rotate()
        await asyncio.sleep(blind_seconds)
        if _referenced(site):
            self._write_key(site)
        else:
            await self.change(site.name, lambda before: before and self._resealed(before, site), "new key")

    async def two_at_once(self, name: str) -> str:
        """Both have seen the same revision: at most one of them may win. Returns what came of it, in words."""
        try:
            before = (await organizations(self._world.connection)).get(name)
        except RelayError as error:
            return f"could not look: {error}"
        if before is None:
            return "the organization is not there"
        wishes = self._chance.sample(range(2, 50), 2)
        results = await asyncio.gather(*(self._wish(name, before.revision, seconds) for seconds in wishes))
        if results.count("done") > 1:
            self.wrong.append(f"{name}: two edits of revision {before.revision} were both done")
        await self.modify(name, None)
        return " and ".join(results)

    async def _wish(self, name: str, revision: int, seconds: int) -> str:
        def change(before: Organization | None) -> Organization | None:
            return before and replace(before, interval_seconds=seconds)

        try:
            await edit(
                self._world.connection,
                name,
                change,
                what="one of two",
                who="chaos",
                now_ms=now_ms(),
                revision=revision,
            )
        except StaleEditError:
            return "refused as stale"
        except RelayError:
            return "failed"
        except Exception as error:  # noqa: BLE001
            self._note(name, error)
            return "failed"
        return "done"

    async def change(self, name: str, change: Edit, what: str) -> None:
        async with asyncio.timeout(TRY_SECONDS):
            while True:
                try:
                    await edit(self._world.connection, name, change, what=what, who="chaos", now_ms=now_ms())
                except RelayError:
                    pass
                except Exception as error:  # noqa: BLE001
                    self._note(name, error)
                else:
                    return
                await asyncio.sleep(self._chance.uniform(0.2, 1))

    def _note(self, name: str, error: Exception) -> None:
        self.wrong.append(f"{name}: an edit ended with {type(error).__name__}: {error}")

    def _organization(self, site: Site) -> Organization:
        organization = Organization(
            name=site.name,
            url=site.url,
            user=site.user,
            added=now_ms(),
            modified=now_ms(),
            revision=0,
            gateway=_at_gateway(site),
            backfill_from=self._began - HISTORY_MS,
        )
        if _referenced(site):
            self._write_key(site)
            reference = f"file:{site.name}"
            sealed = self._world.keyring.seal_reference(reference, _owner(organization))
            return replace(organization, credential_reference=reference, credential_ciphertext=sealed)
        return self._resealed(organization, site)

    def _resealed(self, organization: Organization, site: Site) -> Organization:
        token = site.scoped_token if organization.gateway else site.token
        sealed = self._world.keyring.seal(SecretStr(token), _owner(organization))
        return replace(organization, credential_ciphertext=sealed)

    def _write_key(self, site: Site) -> None:
        path = Path(self._world.keys / site.name)
        draft = path.with_suffix(".new")
        draft.write_text(site.token)
        draft.replace(path)


def _owner(organization: Organization) -> CredentialOwner:
    return CredentialOwner(organization.name, organization.url, organization.user)


def _number(site: Site) -> int:
    return int(site.name.rpartition("-")[2])


def _referenced(site: Site) -> bool:
    """Its key is in a file, not in Kafka."""
    return _number(site) % 3 == 1


def _at_gateway(site: Site) -> bool:
    return _number(site) % 3 == 2
