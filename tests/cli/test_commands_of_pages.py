"""The commands that the pages show, run as they are written, against a real Kafka."""

import asyncio
import re
import shlex

from tests.docs.test_commands import _LINE, _SHELL, PAGES
from tests.support.command_line import run_command

RUN = re.compile(
    r"^(?:api-token|check|completion|config (?:check|show)|dead-letters (?:export|list|redrive .*--dry-run)"
    r"|destinations (?:list|(?:lost|offsets|pause|resume) NAME)|events show|organizations (?:export|history|list|show)"
    r"|replay list|schemas (?:check|register)|status|topics (?:check|create))\b"
)
"""Commands that need no more than an installation with an organization and a destination.

The others run until they are stopped, or need a job, a letter or an offset: the tests of each run them, and tests/docs parses them.
"""
ABSENT = re.compile(r"\bENTRY\b|--destination (?!NAME\b)")
"""Names that this installation does not have."""
MAY_FAIL = re.compile(r"^(?:status|check|events show|schemas)")
"""Commands whose exit code says something about an installation in which no service runs."""
SITE = "acme.atlassian.net"


def commands():
    """Return the commands of all pages that are run here, once each, as written."""
    found = {
        _SHELL.sub("", line).strip() for page in PAGES for line in _LINE.findall(page.read_text("utf-8"))
    }
    return sorted(line for line in found if RUN.search(line) and not ABSENT.search(line))


def words_of(command):
    """Return the words of a command, with the names of this installation."""
    name = SITE if command.startswith("organizations") else "files"
    return [
        re.sub(r"^[\w-]+\.atlassian\.net", SITE, word.replace("NAME", name)) for word in shlex.split(command)
    ]


async def test_the_commands_of_the_pages_run(command_line, acme, tmp_path):
    """Each command on a line of its own does what its page says, or answers that there is nothing to do; none is refused."""
    command_line.set_environment(
        RELAY_DESTINATIONS__FILES__KIND="object-store", RELAY_DESTINATIONS__FILES__LOCATION=tmp_path.as_uri()
    )
    await command_line.add(acme, "--name", SITE)

    results = {line: await asyncio.to_thread(run_command, words_of(line), b"") for line in commands()}

    assert len(results) >= 20, sorted(results)
    faults = {
        line: result.output
        for line, result in results.items()
        if result.code not in ((0, 1) if MAY_FAIL.search(line) else (0,)) or "Traceback" in result.output
    }
    assert faults == {}
