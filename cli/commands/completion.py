"""`jira-relay completion`."""

from typing import Annotated

import typer

from cli.completion import Shell, completion_script


def completion_command(
    shell: Annotated[Shell, typer.Argument(help="The shell that evaluates the lines.", show_default=False)],
) -> None:
    """In bash: `eval "$(jira-relay completion bash)"` in ~/.bashrc. In zsh: the same with zsh, in ~/.zshrc, after compinit.

    In fish: `jira-relay completion fish > ~/.config/fish/completions/jira-relay.fish`.
    """
    print(completion_script(shell))
