"""Completion in a shell, short help, and the question for the API key at a terminal."""

import subprocess

import pytest

from cli.completion import completion_script

STUB = '#!/bin/sh\nprintf "%s\\n" "$COMP_WORDS" "$_JIRA_RELAY_COMPLETE" > asked\nprintf "apply\\nadd\\n"\n'


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("jira-relay sch", {"schemas"}),
        ("jira-relay organizations re", {"resume", "reseal"}),
        ("jira-relay organizations list --st", {"--state"}),
        ("jira-relay organizations list --state no", {"no-owner"}),
    ],
)
async def test_commands_options_and_values_are_completed(command_line_without_kafka, words, offered):
    """Each word of a command is completed, without settings and without Kafka."""
    command_line_without_kafka.set_environment(
        _JIRA_RELAY_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=words.count(" ")
    )
    assert set((await command_line_without_kafka()).out.split()) == offered


def test_bash_takes_the_completions_of_its_script(tmp_path):
    """The script of bash gives the program the words, and offers its answers."""
    script = completion_script("bash")
    (tmp_path / "jira-relay").write_text(STUB)
    (tmp_path / "jira-relay").chmod(0o755)
    typed = f"{script}\nCOMP_WORDS=(jira-relay organizations a); COMP_CWORD=2\n"
    show = '_jira_relay_completion ./jira-relay; printf "<%s>" "${COMPREPLY[@]}"'
    ran = subprocess.run(
        ["bash", "--norc", "-c", typed + show],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("<apply><add>", "")
    assert (tmp_path / "asked").read_text().split() == ["jira-relay", "organizations", "a", "complete_bash"]


@pytest.mark.parametrize(
    ("shell", "words"),
    [("bash", "complete -o default "), ("zsh", "compdef "), ("fish", "complete --command jira-relay ")],
)
async def test_each_shell_has_a_script(command_line_without_kafka, shell, words):
    """The script of each shell registers the program."""
    assert words in (await command_line_without_kafka("completion", shell)).out


@pytest.mark.parametrize("command", [(), ("organizations",), ("organizations", "list"), ("check",)])
async def test_h_is_short_for_help(command_line_without_kafka, command):
    """`-h` is `--help`, for the program, groups and commands."""
    short = await command_line_without_kafka(*command, "-h")
    assert short.out == (await command_line_without_kafka(*command, "--help")).out


class TestTheKeyAtATerminal:
    ADD = ("organizations", "add", "--url", "https://acme.atlassian.net", "--user", "u")

    async def test_a_person_is_asked(self, command_line_without_kafka, monkeypatch):
        """Without an option for the key, the terminal is asked for it, and the command goes on."""
        monkeypatch.setattr("cli.input._is_terminal", lambda: True)
        monkeypatch.setattr("getpass.getpass", lambda prompt: f"{prompt} key-of-twenty-letters")
        refused = await command_line_without_kafka(*self.ADD, code=1)
        assert "Kafka at 127.0.0.1:1 refuses the connection" in refused.err
        assert "twenty" not in refused.output

    async def test_an_empty_answer_is_refused(self, command_line_without_kafka, monkeypatch):
        """A person who types no key has added nothing."""
        monkeypatch.setattr("cli.input._is_terminal", lambda: True)
        monkeypatch.setattr("getpass.getpass", lambda _prompt: "")
        assert "empty" in (await command_line_without_kafka(*self.ADD, code=2)).err

    async def test_a_script_is_not(self, command_line_without_kafka):
        """Where nobody can be asked, the command names the options."""
        assert "--api-key-file FILE" in (await command_line_without_kafka(*self.ADD, code=2)).err
