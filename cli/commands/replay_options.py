"""The options of commands that start a replay."""

from typing import Annotated, Literal

import typer

ReplayDestinationOption = Annotated[
    str, typer.Option(metavar="NAME", help="Destination that gets the events again.", show_default=False)
]
ReplayFromOption = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", help="First moment of the window: 2026-11-25T08:00Z, 2026-11-25 (UTC)."
    ),
]
ReplayToOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="End of the window, not included. Default: now.")
]
ByOption = Annotated[
    Literal["collected", "created"],
    typer.Option(help="The time that the window bounds: of collection by the relay, or Jira's `created`."),
]
ReplayOrganizationOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only this organization, also a deleted one. May be repeated."),
]
EventOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ORG/ID", help="Only this event. May be repeated; needs no window."),
]
WhereOption = Annotated[
    str | None,
    typer.Option(metavar="SQL", help="Only events that fulfil this condition, as `where` of a destination."),
]
ArchiveOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Object-store destination that has what Kafka has deleted."),
]
LostOption = Annotated[
    str | None,
    typer.Option(
        metavar="ENTRY",
        help="A lost range, as `destinations lost` names it: from --archive, or else from the source again.",
    ),
]
RefillOption = Annotated[
    bool,
    typer.Option("--refill", help="Let the producers read the window, by `created`, from the source again."),
]
ToLiveOption = Annotated[
    bool,
    typer.Option("--to-live", help="Send the events where new events go: rules may raise alarms again."),
]
RateOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Events a second, at most. Default: as many as fit beside live events."),
]
ReplayDryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Count the events by organization and day, show three rows, and send nothing."
    ),
]
DetachOption = Annotated[bool, typer.Option("--detach", help="Return at once; the replay runs by itself.")]
ReplayYesOption = Annotated[bool, typer.Option("--yes", help="Start without asking.")]
