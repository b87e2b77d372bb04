"""The one door to the engine: RE2 only, so that no input makes a pattern slow.

Every pattern works on bytes of which one is one character, so that no input is invalid. A branch
consumes what it has looked at, because a branch that is given up after looking far ahead makes a
storm of its beginnings quadratic, even in RE2.
"""

from __future__ import annotations

from typing import Any, Final

import re2

_MAX_DFA_BYTES: Final = 32 << 20


def compiled(pattern: bytes, *, any_case: bool = False) -> Any:
    """Return an RE2 of bytes that says nothing on standard error."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = _MAX_DFA_BYTES
    options.case_sensitive = not any_case
    return re2.compile(pattern, options=options)
