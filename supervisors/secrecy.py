"""Keeps secrets out of what is written about a crash.

Secrets come from environment variables and are kept nowhere else, so a text can hold one only by
its value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_SECRET_NAME = re.compile(r"SECRET|KEY|TOKEN|PASSWORD|PASSWD|DSN|CREDENTIAL", re.IGNORECASE)
_MIN_CHARS = 6
"""A shorter value would be found in innocent words."""


def without_secrets(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the text with the value of every variable that is called a secret as ``***``."""
    for name, value in environment.items():
        if len(value) >= _MIN_CHARS and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return text
