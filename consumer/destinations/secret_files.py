"""A secret of a destination, from its setting or from a file that may be replaced at any time."""

from pathlib import Path

from pydantic import SecretStr

from relay.errors import RelayError


def read_secret(name: str, setting: str, value: SecretStr | None, path: Path | None) -> str | None:
    """Return the secret `setting` of the destination `name`; None: it is not set.

    `path`: the file that `<setting>_file` names; blanks at the ends of its text are no part of the secret. Raises RelayError, which names the setting and shows no secret, if both are
    set, or if the file cannot be read or is empty.
    """
    if path is None:
        return None if value is None else value.get_secret_value()
    if value is not None:
        raise RelayError(
            f"destinations.{name}.{setting} and its {setting}_file are both set. Keep one of them."
        )
    text = read_file(path, f"destinations.{name}.{setting}_file").strip()
    if not text:
        raise RelayError(f"destinations.{name}.{setting}_file is empty. Write the secret into it.")
    return text


def read_file(path: Path, setting: str) -> str:
    """Return the text of a file. Raises RelayError, which names the setting and shows nothing of the text."""
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RelayError(f"{setting} cannot be read: {reason}. Check its path and permissions.") from None
