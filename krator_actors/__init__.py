"""Krator: a real-time algorithmic trading system that heals itself."""

from __future__ import annotations

import os

# Here, because this runs before every other module of the package, also under ``python -m``: numpy
# starts threads when it is imported, and a process that forks must have one. Whatever the user set.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
