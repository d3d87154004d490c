"""The commands of the program. The root help is made of this table alone: no command is loaded for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final


@dataclass(frozen=True, slots=True)
class Command:
    """A line of `--help`. The command itself is imported when it is used."""

    path: str
    """Module and attribute: a function, or a `typer.Typer` with commands of its own."""
    summary: str
    """The first paragraph of its help. The docstring of the function has the following ones."""

    @property
    def is_installed(self) -> bool:
        """Whether the command is part of this installation. The image has no sandbox."""
        return find_spec(self.path.partition(":")[0]) is not None


COMMANDS: Final[Mapping[str, Command]] = {
    "up": Command(
        "cli.commands.run:up_command",
        "Run Kafka (embedded unless kafka.bootstrap is set), producer, consumers and console in one process, until stopped.",
    ),
    "sandbox": Command(
        "cli.commands.sandbox:sandbox_command",
        "Run the whole relay against a simulated Jira and destinations, with its own Kafka, and print whether every event arrived.",
    ),
    "produce": Command(
        "cli.commands.run:produce_command",
        "Poll Jira and publish its audit records to Kafka, until stopped.",
    ),
    "consume": Command(
        "cli.commands.consume:consume_command",
        "Deliver events from Kafka to the destinations, until stopped.",
    ),
    "console": Command(
        "cli.commands.run:console_command",
        "Serve the console, pages for a browser and an HTTP API, until stopped.",
    ),
    "status": Command(
        "cli.commands.status:status_command",
        "Show the whole installation on one screen: what needs an operator first, then organizations, destinations and replays.",
    ),
    "top": Command(
        "cli.commands.status:top_command",
        "Show the installation and its organizations on the whole terminal, renewed every two seconds, until Ctrl-C.",
    ),
    "tail": Command(
        "cli.commands.tail:tail_command",
        "Show new live events as they come to Kafka, each on one line, until Ctrl-C.",
    ),
    "events": Command(
        "cli.commands.events:app",
        "Find an event in Kafka, and show what became of it.",
    ),
    "organizations": Command(
        "cli.commands.organizations:app",
        "Add, change and show the Jira organizations.",
    ),
    "destinations": Command(
        "cli.commands.destinations:app",
        "Show, pause and resume destinations, and move their offsets.",
    ),
    "replay": Command(
        "cli.commands.replay:app",
        "Deliver events again to one destination, as a job of the relay.",
    ),
    "proof": Command(
        "cli.commands.proof:app",
        "Show, sign and verify that nothing is missing: the audit log, Kafka and each destination have the same events of a day.",
    ),
    "keyring": Command(
        "cli.commands.keyring:app",
        "Wrap the keys that encrypt API keys, by a key service.",
    ),
    "topics": Command(
        "cli.commands.topics:app",
        "Create and check the topics of the relay, and copy them to another Kafka.",
    ),
    "schemas": Command(
        "cli.commands.schemas:app",
        "Register and check the schemas of the event topics.",
    ),
    "dead-letters": Command(
        "cli.commands.dead_letters:app",
        "Show, export and redrive the records that could not be read or delivered.",
    ),
    "api-token": Command(
        "cli.commands.api_token:api_token_command",
        "Make a token for the API of the console, and print it once.",
    ),
    "config": Command(
        "cli.commands.config:app",
        "Show and check the settings. Kafka is not asked.",
    ),
    "check": Command(
        "cli.commands.check:check_command",
        "Test every connection, and print a line for each: Kafka, topics, rights, schema registry, organizations, destinations.",
    ),
    "completion": Command(
        "cli.commands.completion:completion_command",
        "Print the lines that make a shell complete commands and options.",
    ),
}
"""The commands, in the order of `--help`."""
