"""The one command and the Bicep file that deploy tables, rule, role and content."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "deploy/azure"
# Replaces the Azure CLI: it writes each call, and answers the two questions of the script.
AZ = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    *"cloud show"*) echo "$CLOUD" ;;
    *"group show"*) printf '[destinations.sentinel]\\n' ;;
    *create*azuredeploy.json*) exit "${FAILS:-0}" ;;
    *create*content.json*) exit "${CONTENT_FAILS:-0}" ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "az").write_text(AZ)
    (tmp_path / "az").chmod(0o755)

    def deploy(*arguments, answer="y", cloud="AzureCloud", **variables):
        environment = os.environ | {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "CALLS": str(tmp_path / "calls"),
        }
        done = subprocess.run(
            ["sh", str(FOLDER / "deploy.sh"), *arguments],
            env=environment | {"CLOUD": cloud} | variables,
            input=f"{answer}\n",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        calls = (tmp_path / "calls").read_text().splitlines() if (tmp_path / "calls").exists() else []
        return done, [call for call in calls if "what-if" in call or "create" in call]

    return deploy


def test_changes_are_shown_before_they_are_made(run):
    """Both templates are shown, then deployed in order, with the further parameters for the tables alone."""
    done, calls = run("group", "space", "someone", "createLiveTable=false", "liveEventIdType=int")
    verbs = [(call.split()[2], Path(call.split("--template-file ")[1].split()[0]).name) for call in calls]
    assert verbs == [
        ("what-if", "azuredeploy.json"),
        ("what-if", "content.json"),
        ("create", "azuredeploy.json"),
        ("create", "content.json"),
    ]
    assert ["liveEventIdType=int" in call for call in calls] == [True, False, True, False]
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[destinations.sentinel]")


def test_without_a_yes_nothing_is_deployed(run):
    """Any answer but yes ends the script before it deploys; YES=1 needs no answer."""
    done, calls = run("group", "space", "", answer="")
    assert (done.returncode, [call.split()[2] for call in calls]) == (1, ["what-if", "what-if"])
    assert run("group", "space", "", answer="", YES="1")[0].returncode == 0


def test_content_waits_for_the_tables(run):
    """Rules are not deployed where the tables failed, nor where the operator leaves them out."""
    done, calls = run("group", "space", "someone", FAILS="3")
    assert done.returncode == 3
    assert "content.json" not in calls[-1]
    assert not [
        call for call in run("group", "space", "x", CONTENT="0")[1][len(calls) :] if "content.json" in call
    ]


def test_the_lines_of_the_settings_are_shown_where_the_content_fails(run):
    """The tables are there then, and Azure may refuse rules for minutes because it does not know a new table."""
    done, _ = run("group", "space", "someone", CONTENT_FAILS="3")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "[destinations.sentinel]")
    assert "run the command again in 15 minutes" in done.stderr


@pytest.mark.parametrize(("cloud", "line"), [("AzureUSGovernment", "usgov"), ("AzureChinaCloud", "china")])
def test_another_cloud_is_a_line_of_the_settings(run, cloud, line):
    """In a sovereign cloud the relay needs the setting `cloud`, which the script prints."""
    assert run("group", "space", "someone", cloud=cloud)[0].stdout.splitlines()[-1] == f'cloud = "{line}"'


def test_the_usage_is_shown(run):
    """Too few arguments end the script with its usage, before it calls Azure."""
    done, calls = run("group")
    assert (done.returncode, calls) == (2, [])
    assert done.stderr.startswith("Usage:")


def test_bicep_passes_parameters_that_the_templates_have():
    """No compiler of Bicep is there, so names, types and defaults of the parameters are compared with the templates."""
    text = (FOLDER / "main.bicep").read_text("utf-8")
    declared = dict(re.findall(r"^param (\w+) (\w+)", text, re.MULTILINE))
    modules = re.findall(
        r"^module \w+ '(.+?)' = \{.*?^  params: \{\n(.*?)^  \}", text, re.MULTILINE | re.DOTALL
    )
    assert [name for name, _ in modules] == ["azuredeploy.json", "content/content.json"]
    used = set()
    for name, passed in modules:
        parameters = json.loads((FOLDER / name).read_text("utf-8"))["parameters"]
        pairs = re.findall(r"^    (\w+): (\w+)$", passed, re.MULTILINE)
        assert len(pairs) == passed.count("\n")
        assert {target: declared[given] for target, given in pairs} == {
            target: parameters[target]["type"] for target, _ in pairs
        }
        assert {key for key, each in parameters.items() if "defaultValue" not in each} <= {
            target for target, _ in pairs
        }
        used |= {given for _, given in pairs}
    assert used == declared.keys()
