"""The program, run within the process of the test."""

import contextlib
import io
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from cli.app import main
from tests.support.kafka import PATIENCE


@dataclass(frozen=True)
class CommandResult:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def output(self) -> str:
        return self.out + self.err


def run_bytes(arguments: Sequence[str]) -> bytes:
    """Run the program in this process, and return the bytes of its standard output."""
    out_bytes = io.BytesIO()
    out = io.TextIOWrapper(out_bytes, "utf-8", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(arguments, PATIENCE)
    return out_bytes.getvalue()


def run_command(arguments: Sequence[str], stdin_bytes: bytes, patience: float = PATIENCE) -> CommandResult:
    """Run the program in this process, with its own standard streams."""
    out_bytes, err_bytes = io.BytesIO(), io.BytesIO()
    out, err = (io.TextIOWrapper(raw, "utf-8", write_through=True) for raw in (out_bytes, err_bytes))
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin_bytes), "utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments, patience)
    except SystemExit as end:
        return CommandResult(_exit_code(end), out_bytes.getvalue().decode(), err_bytes.getvalue().decode())
    finally:
        sys.stdin = stdin
    raise AssertionError("the program returned instead of exiting")


def _exit_code(end: SystemExit) -> int:
    assert isinstance(end.code, int)
    return end.code


@contextlib.contextmanager
def logging_restored() -> Iterator[None]:
    """Restore the logging of this process afterwards, since a command configures it."""
    handlers, level, hook = logging.root.handlers[:], logging.root.level, sys.excepthook
    levels = {
        name: logger.level
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    yield
    sys.excepthook = hook
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            logger.setLevel(levels.get(name, logging.NOTSET))
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
