"""The command line, run within the process of the test."""

import contextlib
import io
import json
import logging
import sys
from dataclasses import dataclass

import structlog

from cli.app import main


@dataclass(frozen=True)
class CommandResult:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def output(self):
        return self.out + self.err


def run_command(arguments, stdin_bytes):
    """Run a command in this process with streams of its own; return its exit code and output."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin_bytes), "utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as end:
        return CommandResult(end.code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())
    finally:
        sys.stdin = stdin


@contextlib.contextmanager
def logging_restored():
    """Restore the logging of this process at the end of the block, since a command configures it."""
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
