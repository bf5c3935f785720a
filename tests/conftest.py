"""For all tests: the process's logging is afterwards as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Commands that are run in this process set logging up for it: the next test would capture nothing."""
    root = logging.getLogger()
    handlers, configured, content = list(root.handlers), structlog.is_configured(), structlog.get_config()
    levels = {logger: logger.level for logger in (root, *_loggers())}
    yield
    root.handlers[:] = [handler for handler in root.handlers if handler in handlers]
    for logger in (root, *_loggers()):
        logger.setLevel(levels.get(logger, logging.NOTSET))
    if configured:
        structlog.configure(**content)
    else:
        structlog.reset_defaults()


def _loggers() -> list[logging.Logger]:
    # A copy: other threads may make loggers meanwhile.
    return [
        logger
        for logger in list(logging.root.manager.loggerDict.values())
        if isinstance(logger, logging.Logger)
    ]
