"""The commands that the pages show, run as they are written, against a real Kafka."""

import asyncio
import re
import shlex

from tests.docs.test_commands import _LINE, _SHELL, PAGES
from tests.support.command_line import run_command

SERVICES = ("up", "produce", "consume", "console", "sandbox", "top", "tail")
"""What runs until it is stopped; tests/flow runs them. Here the command is parsed alone (tests/docs)."""
ELSEWHERE = re.compile(
    r"^(?:organizations (?:add|apply \S+$)|replay (?!list)|destinations (?:rewind|skip)|dead-letters (?:show|redrive (?!.*--dry-run)))"
)
"""Commands that need a site, a job, a letter or an offset of their own; their own tests run them."""
PARTS = re.compile(r"\b(?:ENTRY|lake|sentinel|splunk)\b|deploy/relay.toml|organizations.toml|\.venv")
"""Names of what this test has not."""
MAY_FAIL = re.compile(r"^(?:status|check|events show|schemas)")
"""Commands whose exit code says something about an installation in which no service runs."""
NAMES = {"NAME": "files"}


def commands():
    """Return the commands of all pages that can be run here, once each, as written."""
    found = {
        _SHELL.sub("", line).strip()
        for page in PAGES
        for line in _LINE.findall(page.read_text("utf-8"))
        if line.split()[0] not in SERVICES
    }
    return sorted(line for line in found if not ELSEWHERE.search(line) and not PARTS.search(line))


async def test_the_commands_of_the_pages_run(command_line, acme, tmp_path):
    """Each command on a line of its own does what its page says, or answers that there is nothing to do; none is refused."""
    command_line.set_environment(
        RELAY_DESTINATIONS__FILES__KIND="object-store", RELAY_DESTINATIONS__FILES__LOCATION=tmp_path.as_uri()
    )
    await command_line.add(acme, "--name", "acme.atlassian.net")
    run = {line: [NAMES.get(word, word) for word in shlex.split(line)] for line in commands()}

    results = {line: await asyncio.to_thread(run_command, words, b"") for line, words in run.items()}

    assert len(results) >= 20, sorted(results)
    faults = {
        line: result.output
        for line, result in results.items()
        if result.code not in ((0, 1) if MAY_FAIL.search(line) else (0,)) or "Traceback" in result.output
    }
    assert faults == {}
