"""Logs: one line an event, JSON or for a console, with driver and claim bound.

``structlog.contextvars.bound_contextvars(driver=..., claim=...)`` binds; every line that the thread writes
carries it. Records of the standard library's ``logging`` (other libraries') take the same way out.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO, TypeAlias

import structlog

LogFormat: TypeAlias = Literal["json", "console"]

_QUIET = ("urllib3", "kubernetes", "celpy", "Environment", "evaluation")
"""Libraries whose warnings and information are of no use to an operator."""


def configure_logs(
    style: LogFormat = "json", *, level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Sets up logging for this process; may be called again (a reload).

    :param style: ``json`` for machines, ``console`` for people.
    :param stream: where to; standard error by default.
    """
    out = stream or sys.stderr
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: list[structlog.typing.Processor]
    if style == "json":
        render = [
            structlog.processors.ExceptionRenderer(),
            structlog.processors.JSONRenderer(),
        ]
    else:
        render = [structlog.dev.ConsoleRenderer(colors=out.isatty())]

    # Our own lines go straight to the stream: a logging.LogRecord each would cost as much again.
    structlog.configure(
        processors=[*common, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.ERROR))
