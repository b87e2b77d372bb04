"""``python -m krator_actors.exchange``."""

from __future__ import annotations

import sys

from krator_actors.exchange.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
