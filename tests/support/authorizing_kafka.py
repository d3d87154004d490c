"""An embedded Kafka with an authorizer: a user may do nothing but what a test grants."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from embedded import EmbeddedKafka, java, ports
from embedded.properties import HOST
from tests.support.kafka import STEADY

USER, PASSWORD = "relay", "correct-horse-battery"
EVENT_HUBS_USER = "$ConnectionString"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


class Grant(NamedTuple):
    """One operation on one resource, or on all whose names begin with `name`."""

    kind: str
    name: str
    operation: str
    prefixed: bool = False


class AuthorizingKafka(EmbeddedKafka):
    """Listeners: plain text, whose users may do everything, and `users` with a login.

    A user of `users` has the rights that were granted. Every name is a user, with PASSWORD.
    """

    def __init__(self, directory: Path, users: Iterable[str] = (USER, EVENT_HUBS_USER)) -> None:
        port, self._users_port, controller = (ports.pick_free_port() for _ in range(3))
        login = " ".join(f'user_{name}="{PASSWORD}"' for name in users)
        super().__init__(
            directory,
            port,
            heap="384m",
            flush_each_write=False,
            extra_properties={
                "listeners": f"PLAINTEXT://{HOST}:{port},USERS://{HOST}:{self._users_port},"
                f"CONTROLLER://{HOST}:{controller}",
                "controller.quorum.bootstrap.servers": f"{HOST}:{controller}",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,USERS:SASL_PLAINTEXT",
                "listener.name.users.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.users.plain.sasl.jaas.config": f"{_PLAIN} {login};",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                **STEADY,
            },
        )

    def settings(self, user: str = USER) -> dict[str, Any]:
        """Return settings of the group kafka for a user with a login."""
        return {
            "bootstrap": f"{HOST}:{self._users_port}",
            "replication_factor": 1,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_username": user,
            "sasl_password": PASSWORD,
        }

    def denials(self) -> list[str]:
        """Return what the authorizer has refused so far, as its log says it."""
        return [
            line for line in self._output.read_text("utf-8").splitlines() if " is Denied operation" in line
        ]

    async def _run(self, runtime: java.Java, log_directory: Path, *command: str) -> Any:
        shown = "-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=info"
        return await super()._run(runtime, log_directory, shown, *command)

    async def grant_only(self, grants: Iterable[Grant] | Mapping[str, Iterable[Grant]]) -> None:
        """Give USER these rights, or each user its own, and take every other right. Returns once the broker applies it."""
        by_user = grants if isinstance(grants, Mapping) else {USER: grants}
        bindings = [_binding(grant, user) for user, granted in by_user.items() for grant in granted]
        await asyncio.to_thread(self._replace, bindings)

    def _replace(self, bindings: list[AclBinding]) -> None:
        names: Any = None  # any; the stubs of the client lack it
        anything = AclBindingFilter(
            ResourceType.ANY,
            names,
            ResourcePatternType.ANY,
            names,
            names,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for deleted in admin.delete_acls([anything]).values():
            deleted.result(60)
        for created in (admin.create_acls(bindings) if bindings else {}).values():
            created.result(60)
        for _ in range(1_200):
            if set(admin.describe_acls(anything).result(60)) == set(bindings):
                return
            time.sleep(0.05)
        raise AssertionError("the broker does not apply the rights")


def _binding(grant: Grant, user: str) -> AclBinding:
    return AclBinding(
        _RESOURCES[grant.kind],
        grant.name,
        ResourcePatternType.PREFIXED if grant.prefixed else ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        _OPERATIONS[grant.operation],
        AclPermissionType.ALLOW,
    )
