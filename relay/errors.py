"""Errors for the operator of the relay.

* RelayError
  * SecretError
  * SecretStoreError (credentials/stores/error.py)
  * SettingsError
  * UrlError (url_policy.py)
  * KafkaUnreachableError (kafka/connection.py)
  * TopicReadError (kafka/log_reader.py)
    * CorruptBatchError
  * TopicWriteError (kafka/producer.py)
    * NotWrittenError
      * RecordTooLargeError
  * PublishError (kafka/transactions.py)
  * SchemaUnavailableError (schema_registry/store.py)
  * EmbeddedKafkaError (embedded/errors.py)

A message says what happened, to what, and what to do. It is shown without a traceback and holds no secret.
An error outside this tree is a defect of the program.
A class exists where some caller catches it, beside the code that raises it.
"""

from typing import ClassVar


class RelayError(Exception):
    """A failure that an operator must know of, or can fix."""

    exit_code: ClassVar[int] = 1
    """That of a command which it ends. 2: the input or the settings are invalid, whatever the state of the system."""


class SecretError(RelayError):
    """The API key of an organization is not available now. A later attempt may succeed."""


class SettingsError(RelayError):
    """The settings are invalid. The message has one sentence a line, one for each fault."""

    exit_code = 2


def one_line(text: str, max_chars: int = 400) -> str:
    """Return foreign text on one line, cut to `max_chars` characters and an ellipsis, so that a message can quote it."""
    line = " ".join(text.split())
    return line if len(line) <= max_chars else f"{line[:max_chars]}…"


def sentence(text: str) -> str:
    """Return a text that ends with a full stop or a question mark."""
    return text if text.endswith((".", "?")) else f"{text}."


def describe(error: BaseException) -> str:
    """Return the message of an error, or its class name if the message is empty."""
    return str(error) or type(error).__name__
