import logging
import sys

import pytest
import structlog


@pytest.fixture(autouse=True)
def _restored():
    """Restore what a process configures only once."""
    root, hook = logging.root, sys.excepthook
    before, levels = (
        (root.handlers[:], root.level),
        {
            name: logger.level
            for name, logger in root.manager.loggerDict.items()
            if isinstance(logger, logging.Logger)
        },
    )
    yield
    root.handlers[:], root.level = before
    for name, logger in root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            logger.setLevel(levels.get(name, logging.NOTSET))
    logging.captureWarnings(capture=False)
    sys.excepthook = hook
    structlog.reset_defaults()
