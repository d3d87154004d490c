"""People, groups, projects and schemes of one simulated site, drawn from a seed, as audit records name them."""

import random
import uuid
from dataclasses import dataclass

ObjectItem = dict[str, str]

DIRECTORY = {
    "parentId": "10000",
    "parentName": "com.atlassian.crowd.directory.IdentityPlatformRemoteDirectory",
}
IDP_DIRECTORY = {"parentId": "10001", "parentName": "IDP Directory"}

_GIVEN = ("Aiko", "Björn", "Chloé", "Dmitri", "Fatima", "João", "Oisín", "Søren", "Zoë", "陽菜", "Юлия")
_FAMILY = ("Abbott", "Dvořák", "García", "Häberli", "Ivanova", "Núñez", "O'Brien", "Tanaka", "Weiß")
_PROJECTS = (
    "Payments",
    "Storefront",
    "Data Platform",
    "Café & Catering",
    "Logistik Süd",
    "Research  Lab",
    "請求書",
)
_GROUPS = ("site-admins", "jira-administrators", "jira-software-users", "finance-read only", "développeurs")
_SCHEMES = ("Default", "Software", "Service Desk", "Restricted", "Kanban  Lite", "Legacy (2019)")
_STATUSES = ("Blocked", "In Review", "Waiting for customer", "Geschlossen", "待处理")


@dataclass(frozen=True, slots=True)
class Person:
    key: str
    account_id: str
    name: str
    email: str
    address: str


class Actors:
    """Draws people and objects of one site. The same seed draws the same ones."""

    def __init__(self, seed: str, people: int = 40) -> None:
        self.random = random.Random(f"cast {seed}")
        self.people = [self._person(number) for number in range(people)]
        self.admins = self.people[: max(2, people // 8)]
        self._projects = list(enumerate(_PROJECTS, 10000))

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def person(self) -> ObjectItem:
        key = self.random.choice(self.people).key
        directory = self.random.choice((DIRECTORY, DIRECTORY, IDP_DIRECTORY))
        return {"id": key, "name": key, "typeName": "USER", **directory}

    def group(self) -> ObjectItem:
        return {"name": self.random.choice(_GROUPS), "typeName": "GROUP", **DIRECTORY}

    def project(self) -> ObjectItem:
        number, name = self.random.choice(self._projects)
        return {"id": str(number), "name": name, "typeName": "PROJECT"}

    def create_project(self) -> ObjectItem:
        number = self._projects[-1][0] + 1
        name = f"{self.random.choice(_PROJECTS)} {number - 9990}"
        self._projects = [*self._projects[-100:], (number, name)]
        return {"id": str(number), "name": name, "typeName": "PROJECT"}

    def scheme(self, kind: str) -> ObjectItem:
        number = self.random.randrange(len(_SCHEMES))
        identity = "0" if number == 0 else str(10100 + number)
        return {"id": identity, "name": f"{_SCHEMES[number]} {kind} Scheme", "typeName": "SCHEME"}

    def workflow(self) -> ObjectItem:
        name = f"{self.random.choice(_SCHEMES)} workflow v{self.random.randint(1, 40)}"
        return {"id": name, "name": name, "typeName": "WORKFLOW"}

    def status(self) -> ObjectItem:
        number = self.random.randrange(len(_STATUSES))
        return {"id": str(3 + number), "name": _STATUSES[number], "typeName": "STATUS"}

    def version(self) -> ObjectItem:
        name = f"{self.random.randint(0, 9)}.{self.random.randint(0, 30)}"
        return {"id": str(self.random.randint(10000, 99999)), "name": name, "typeName": "VERSION"}

    def role(self) -> ObjectItem:
        number = self.random.randrange(3)
        name = ("Administrators", "Viewers", "Service Desk Team")[number]
        return {"id": str(10002 + number), "name": name, "typeName": "PROJECT_ROLE"}

    def field(self) -> ObjectItem:
        name = self.random.choice(("Risk score", "Kostenstelle", "Ziel-Termin", "Δ budget", "Approver  2"))
        return {
            "id": f"customfield_{self.random.randint(10030, 10999)}",
            "name": name,
            "typeName": "CUSTOM_FIELD",
        }

    def _person(self, number: int) -> Person:
        given, family = self.random.choice(_GIVEN), self.random.choice(_FAMILY)
        old = number % 3 == 0
        account_id = f"{self.random.getrandbits(96):024x}" if old else f"712020:{self.uuid()}"
        octets = (self.random.randint(1, 254), self.random.randint(1, 254))
        address = (f"198.51.100.{octets[0]}", f"10.20.{octets[0]}.{octets[1]}", f"2001:db8::{octets[0]:x}")
        return Person(
            key=f"ug:{self.uuid()}",
            account_id=account_id,
            name=f"{given} {family}",
            email=f"person{number}@example.com",
            address=self.random.choice(address),
        )
