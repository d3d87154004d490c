"""Files of secrets that the relay reads."""

from pathlib import Path


def write_secret(directory: Path, name: str, text: str) -> Path:
    """Write a secret into a new directory that only this user can read. Return the file."""
    directory.mkdir(mode=0o700)
    file = directory / name
    file.write_text(f"{text}\n", "utf-8")
    return file
