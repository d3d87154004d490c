"""Simulated Azure: token endpoints, the Logs Ingestion API, and the workspace that the relay's template deploys."""

import asyncio
import random
import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from aiohttp import web

from simulators.azure import arm
from simulators.azure.certificate import write_certificate
from simulators.azure.identity import IdentityService
from simulators.azure.ingestion import IngestionCall, IngestionEndpoint, PoisonRow
from simulators.azure.logs_query import LogsQuery
from simulators.azure.rule import UID_COLUMNS, SilentLosses, Table, deploy_rule
from simulators.fault_script import ScriptedFault
from simulators.faults import Fault

LIVE = "Jira_Audit_v2_CL"
HISTORY = "Jira_Audit_History_CL"
ASIM = "ASimAuditEventLogs"
ASIM_HISTORY = "Jira_Audit_ASim_History_CL"

Credential = Literal["managed-identity", "imds", "client-secret", "workload-identity"]


class AzureWorld:
    """Runs Azure on loopback and free ports, in this event loop: `async with AzureWorld() as azure`.

    `parameters` are parameters of the template besides `workspaceName` and `principalId`; `{"asim": True}` adds the streams of
    normalized events. `existing` has the columns and types of tables made before the deployment, by name. `keep_rows` bounds the rows kept for each table.
    `strict` refuses bodies above 1 MiB also after decompression, since the documentation can be read that way.
    Raises DeploymentError when Azure would refuse the template.
    """

    stream = "Custom-JiraAuditRelay"
    history_stream = "Custom-JiraAuditRelayHistory"
    asim_stream = "Custom-JiraAuditRelayAsim"
    asim_history_stream = "Custom-JiraAuditRelayAsimHistory"

    def __init__(
        self,
        *,
        seed: int = 0,
        strict: bool = True,
        keep_rows: int | None = None,
        parameters: Mapping[str, Any] | None = None,
        existing: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        rng = random.Random(seed)
        self.identity = IdentityService(time.time, rng)
        self._parameters = {"workspaceName": "sentinel", "principalId": self.identity.managed_identity_client}
        self._parameters |= parameters or {}
        self._rule = deploy_rule(self._deployment(), existing or {}, keep_rows)
        self._ingestion = IngestionEndpoint(self.identity, self._rule, rng, self._notify, strict)
        self.query = LogsQuery(self.identity, self._rule.tables)
        self._changed = asyncio.Event()
        self._stack = AsyncExitStack()
        self._ports: dict[str, int] = {}
        self._directory = Path()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def endpoint(self) -> str:
        """URL of the rule over http; azure-core sends a token to it only with `enforce_https=False`."""
        return f"http://127.0.0.1:{self._ports['http']}"

    @property
    def secure_endpoint(self) -> str:
        """URL of the rule, and of the authority, over https; azure-identity requires https for the authority."""
        return f"https://127.0.0.1:{self._ports['https']}"

    @property
    def ca_file(self) -> Path:
        """Certificate of `secure_endpoint`, for `connection_verify`."""
        return self._directory / "certificate.pem"

    @property
    def rule_id(self) -> str:
        return self._ingestion.rule_id

    @property
    def calls(self) -> list[IngestionCall]:
        """The last 100,000 ingestion calls, oldest first."""
        return list(self._ingestion.calls)

    @property
    def losses(self) -> SilentLosses:
        """Counts of the values lost behind a 204; equal to `SilentLosses()` if none was lost."""
        return self._rule.losses

    def environment(self, credential: Credential = "managed-identity") -> dict[str, str]:
        """Return the environment variables that make azure-identity use this world."""
        if credential == "managed-identity":
            return {
                "IDENTITY_ENDPOINT": f"{self.endpoint}/msi/token",
                "IDENTITY_HEADER": self.identity.header,
            }
        if credential == "imds":
            return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.endpoint}
        application = {
            "AZURE_AUTHORITY_HOST": self.secure_endpoint,
            "AZURE_TENANT_ID": self.identity.tenant,
            "AZURE_CLIENT_ID": self.identity.application_client,
            "SSL_CERT_FILE": str(self.ca_file),
        }
        if credential == "client-secret":
            return application | {"AZURE_CLIENT_SECRET": self.identity.client_secret}
        return application | {"AZURE_FEDERATED_TOKEN_FILE": str(self._directory / "assertion")}

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the deployed template."""
        deployment = self._deployment(
            {"immutableId": self.rule_id, "endpoints": {"logsIngestion": self.endpoint}}
        )
        return deployment.outputs()

    def fault(
        self,
        fault: Fault,
        *,
        on: Literal["ingestion", "token"] = "ingestion",
        times: int | None = None,
        seconds: float | None = None,
        rate: float | None = None,
        skip: int = 0,
        only: Callable[[web.Request], bool] | None = None,
    ) -> ScriptedFault:
        """Add a fault, as `FaultScript.add` does; with `rate=1` it lasts until it is cancelled."""
        script = self._ingestion.faults if on == "ingestion" else self.identity.faults
        return script.add(fault, times=times, seconds=seconds, rate=rate, skip=skip, only=only)

    def poison(self, matches: str | Callable[[Mapping[str, Any]], bool]) -> PoisonRow:
        """Refuse each call whose body has a matching row, or the row of the event of this uid, with 400."""
        predicate = (
            (lambda row: any(row.get(name) == matches for name in UID_COLUMNS))
            if isinstance(matches, str)
            else matches
        )
        poison = PoisonRow(predicate)
        self._ingestion.poisons.append(poison)
        return poison

    def lose(self, uid: str) -> None:
        """Delete the rows of an event behind the relay's back: its upload was answered 204."""
        for table in self._rule.tables().values():
            for stored in [each for each in table.stored_rows if each.row.get("EventUid") == uid]:
                table.stored_rows.remove(stored)

    def clear_faults(self) -> None:
        """Remove every fault and every poison row."""
        self._ingestion.faults.clear()
        self._ingestion.poisons.clear()
        self.identity.faults.clear()

    def table(self, name: str = LIVE) -> Table:
        return self._rule.tables()[name]

    def rows(self, table: str = LIVE) -> list[Mapping[str, Any]]:
        """Return the stored rows of a table, in the order of arrival."""
        return [arrival.row for arrival in self.table(table).stored_rows]

    def accepted(self, table: str = LIVE) -> int:
        """Return the count of all rows that a table accepted."""
        return self.table(table).accepted

    def duplicates(self, table: str = LIVE) -> dict[str, int]:
        """Return the number of rows for each event that a table accepted more than once, by its uid."""
        return self.table(table).duplicates()

    async def wait_until(self, condition: Callable[[], bool], seconds: float = 90.0) -> None:
        """Wait for a condition, which is checked after each ingestion call. Raises TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()

    def _deployment(self, state: Mapping[str, Any] | None = None) -> arm.Deployment:
        text = arm.load_template()
        name = self._parameters.get("ruleName", text["parameters"]["ruleName"]["defaultValue"])
        identifier = arm.resource_id("Microsoft.Insights/dataCollectionRules", name)
        return arm.Deployment(text, self._parameters, {identifier: state or {}})

    async def _start(self) -> None:
        self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="azure-")))
        (self._directory / "assertion").write_text(self.identity.assertion)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(write_certificate(self.ca_file))
        app = web.Application(client_max_size=0)
        app.add_routes(self._ingestion.routes() + self.identity.routes() + self.query.routes())
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=0.1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        for scheme, tls in (("http", None), ("https", context)):
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            self._ports[scheme] = runner.addresses[-1][1]
