"""What goes wrong and is an operator's to know.

* RelayError
  x SecretError
  x SettingsError

Each message is one clear sentence (what happened, to whom, what to do) and is shown without a traceback; it never holds a
secret. Whatever is raised outside this tree is a defect of the program. Further classes stand beside the code that raises
them, and only where somebody catches them.
"""


class RelayError(Exception):
    """Something an operator has to know or to put right."""


class SecretError(RelayError):
    """An organization's API key cannot be had now; trying again later may help."""


class SettingsError(RelayError):
    """The settings cannot be used as they are; with several faults, one sentence a line."""


def one_line(text: str, max_chars: int = 400) -> str:
    """Foreign text as it may stand in a sentence: on one line, of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= max_chars else f"{line[:max_chars]}…"


def describe(error: BaseException) -> str:
    """Return the message of an error; where it has none, its class name, so that no reason is empty."""
    return str(error) or type(error).__name__
