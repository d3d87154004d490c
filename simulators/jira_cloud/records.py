"""Audit records as Jira writes them, drawn from a seed. The site adds `id` and `created`."""

from simulators.jira_cloud.actors import Actors, Person
from simulators.jira_cloud.record_kinds import KINDS, Record, project_created, project_part

FIELDS = [
    "id",
    "summary",
    "remoteAddress",
    "authorKey",
    "authorAccountId",
    "created",
    "category",
    "eventSource",
    "description",
    "objectItem",
    "changedValues",
    "associatedItems",
]
"""Names of a record's members, in Jira's order."""

SUMMARIES = tuple(KINDS)
_OFTEN_BY_SYSTEM = (
    "User added to group",
    "User removed from group",
    "User updated",
    "User created",
    "Group created",
)
_ALWAYS_BY_PERSON = ("User's password changed",)


class RecordGenerator:
    """Draws records. Each kind is drawn once before any is drawn again, in an order of the seed."""

    def __init__(self, seed: str) -> None:
        self.actors = Actors(seed)
        self._remaining_summaries: list[str] = []

    def generate(self, summary: str | None = None) -> Record:
        """Return a record of this kind, or of the next one for None. An unknown summary makes a bare system record."""
        summary = summary if summary is not None else self._next_summary()
        kind = KINDS.get(summary)
        body = kind(self.actors) if kind else {"category": "system"}
        if not kind or (summary in _OFTEN_BY_SYSTEM and self.actors.random.random() < 0.6):
            return {"summary": summary, "eventSource": "", **body}
        return {"summary": summary, "eventSource": "", **self._author_fields(summary), **body}

    def generate_project_creation(self) -> list[Record]:
        """Return the records of one click on "Create project": about thirty, by one person."""
        project, person = self.actors.create_project(), self.actors.random.choice(self.actors.admins)
        first = {"summary": "Project created", **project_created(self.actors, project)}
        records = [
            first,
            *(
                project_part(self.actors, number, project)
                for number in range(self.actors.random.randint(25, 32))
            ),
        ]
        return [{"eventSource": "", **_author_of(person), **record} for record in records]

    def _next_summary(self) -> str:
        if not self._remaining_summaries:
            self._remaining_summaries = self.actors.random.sample(SUMMARIES, len(SUMMARIES))
        return self._remaining_summaries.pop()

    def _author_fields(self, summary: str) -> dict[str, str]:
        author = _author_of(self.actors.random.choice(self.actors.admins))
        if summary not in _ALWAYS_BY_PERSON and self.actors.random.random() < 0.15:
            del author["remoteAddress"]
        return author


def _author_of(person: Person) -> dict[str, str]:
    return {
        "remoteAddress": person.address,
        "authorKey": person.key,
        "authorAccountId": person.account_id,
    }
