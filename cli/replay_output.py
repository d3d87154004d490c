"""How a command ends that has followed a replay."""

import typer

from cli.output import print_error, print_json, print_wrapped
from management.replay.documents import replay_document
from management.replay.texts import result_text
from management.replay.view import ReplayView


def finish(view: ReplayView, *, as_json: bool) -> None:
    """Print how a replay ended. Exit code 1, unless it is done and no event was lost."""
    if as_json:
        print_json(replay_document(view))
    elif view.complete:
        print_wrapped(result_text(view))
    if not view.complete:
        print_error(result_text(view))
        raise typer.Exit(1)
