import subprocess
import sys

import pytest

from sandbox.destinations.catalogue import PEERS

WITHOUT = """
import sys
sys.modules[{package!r}] = None
sys.argv = ["jira-relay", "sandbox"]
from cli.app import main
main()
"""


@pytest.mark.parametrize("package", ["sandbox", "simulators", "embedded"])
def test_an_installation_without_the_sandbox_says_what_to_install(package):
    """Without one of the packages, the command prints one sentence and ends with 2, before it starts anything."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package=package)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "This installation has no sandbox. Install jira-audit-relay[embedded] with pip, or run `make sandbox` in its"
        " repository.\n"
    )


def test_an_unknown_destination_is_refused_with_those_there_are():
    """Before anything starts, the command names the unknown kind and lists the known ones, and ends with 2."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "sandbox", "--destinations", "sentinel, splank"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"The sandbox has no destination 'splank'; it has {', '.join(PEERS)}.\n"
