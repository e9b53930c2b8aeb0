"""One structured line an event, on stderr: for people (`console`) or for machines (`json`)."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

# structlog draws tracebacks with rich where it finds it. Ours are plain, and rich takes 4 MB, and a twentieth of a
# server's start.
_rich = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]

import structlog  # noqa: E402

if _rich is None:
    del sys.modules["rich"]
else:
    sys.modules["rich"] = _rich

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_SECRET_KEYS = frozenset({"password", "token", "auth", "private_key", "conf_data"})


def setup(log_format: LogFormat = "console", level: LogLevel = "info") -> None:
    """Configure logging of the whole process, that of libraries included."""
    number = getattr(logging, level.upper())
    threshold = max(number, logging.WARNING)
    logging.basicConfig(stream=sys.stderr, level=threshold, format="%(levelname)s %(name)s: %(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact,
            *_renderers(log_format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def get(name: str) -> Any:
    """Return the logger of a module."""
    return structlog.get_logger(module=name)


def _renderers(log_format: LogFormat) -> list[Any]:
    # Plain tracebacks in both: structlog's other ones print local variables, and those may be passwords.
    if log_format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _redact(_logger: Any, _method: str, event: Any) -> Any:
    for key in _SECRET_KEYS & event.keys():
        event[key] = "[redacted]"
    return event
