"""The workflows of .github: valid, pinned, and with the commands of the Makefile."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TEXTS = {path.name: path.read_text("utf-8") for path in WORKFLOWS}


def test_the_workflows_are_valid():
    """check-jsonschema knows the schema of workflows."""
    command = [
        Path(sys.executable).with_name("check-jsonschema"),
        "--builtin-schema",
        "vendor.github-workflows",
    ]

    found = subprocess.run([*command, *WORKFLOWS], capture_output=True, text=True, timeout=240, check=False)

    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_each_action_is_pinned_and_rights_are_least(text):
    """Actions are named by commit, with the version beside it; the default right is to read."""
    used = re.findall(r"uses: (\S+)(.*)", text)

    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action) for action, _ in used)
    assert all(re.fullmatch(r" # v\d+\.\d+\.\d+", version) for _, version in used)
    assert "\npermissions:\n  contents: read\n" in text


def test_the_workflows_run_what_a_developer_runs():
    """One runs `.ci/run`, the other the verbs of the Makefile."""
    verbs = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

    assert "- run: .ci/run\n" in TEXTS["ci.yml"]
    named = {name for text in TEXTS.values() for name in re.findall(r"\bmake ([a-z]+)", text)}
    assert {"setup", "smoke", "release", "images"} == named & verbs == named
