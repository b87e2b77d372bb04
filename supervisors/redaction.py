"""What every text passes before it leaves a process: a crash's words, a report, standard error.

By itself this library knows the environment's secrets (``secrecy``) only; whoever uses it says at
the start what takes out more. A fork inherits that.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType

from supervisors.secrecy import without_secrets

Redact = Callable[[str], str]

_FAILED = "(not shown, because it could not be redacted)"


def _unchanged(text: str) -> str:
    return text


_redact: Redact = _unchanged


def redact_with(redact: Redact | None) -> None:
    """Let all texts of this process, and of all it forks, pass ``redact``; None for none.

    Also those that Python itself writes to standard error: an exception that nobody caught.
    """
    global _redact  # noqa: PLW0603 - it is inherited by every fork, as an import is
    _redact = redact or _unchanged
    sys.excepthook = _uncaught if redact else sys.__excepthook__
    threading.excepthook = _uncaught_in_thread if redact else threading.__excepthook__


def redacted(text: str) -> str:
    """Return the text as it may leave this process. Never raises."""
    try:
        return _redact(without_secrets(text))
    except Exception:  # noqa: BLE001 - half a crash file is better than none, an unredacted one is not
        return _FAILED


class RedactingFormatter(logging.Formatter):
    """For libraries that use ``logging``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, redacted."""
        return redacted(super().format(record))


def _uncaught(
    kind: type[BaseException], error: BaseException, where: TracebackType | None, /
) -> None:
    if sys.stderr is not None:
        sys.stderr.write(redacted("".join(traceback.format_exception(kind, error, where))))


def _uncaught_in_thread(arguments: threading.ExceptHookArgs, /) -> None:
    if arguments.exc_value is not None and not issubclass(arguments.exc_type, SystemExit):
        _uncaught(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
