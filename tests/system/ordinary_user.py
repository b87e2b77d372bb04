"""Become an ordinary user, also where this Python lives in a folder that only root may enter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# In a mount namespace of its own, so that nothing of it is seen outside: folders above Python that
# are closed are covered by open, empty ones, in which Python's own stands where it was. Read-only
# folders are named before "--".
_SCRIPT = r"""
set -eu
user=$1 python=$2 closed=$3 keep=$4
shift 4
if [ -n "$closed" ]; then
    mount --bind "$python" "$keep"
    mount -t tmpfs -o mode=755 none "$closed"
    mkdir -p "$python"
    mount --bind "$keep" "$python"
fi
while [ "$1" != -- ]; do
    mount --bind "$1" "$1"
    mount -o remount,ro,bind "$1"
    shift
done
shift
exec setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs -- "$@"
"""


def as_user(uid: int, folder: Path, *, read_only: tuple[Path, ...] = ()) -> list[str]:
    """Return what to put before a command; skips the test where that is not possible.

    ``folder`` is scratch space; ``read_only`` are folders that nothing below the command can write.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("no unshare or setpriv here")
    python = Path(sys.executable).resolve().parent.parent
    closed = [path for path in python.parents if not path.stat().st_mode & 0o001]
    keep = folder / "python"
    keep.mkdir(exist_ok=True)
    prefix = [
        *("unshare", "--mount", "sh", "-c", _SCRIPT, "sh", str(uid), str(python)),
        *(str(closed[-1]) if closed else "", str(keep), *map(str, read_only), "--"),
    ]
    probe = subprocess.run(
        [*prefix, sys.executable, "-c", "import krator_actors.cli"],
        check=False,
        capture_output=True,
    )
    if probe.returncode != 0:
        pytest.skip(f"cannot become an ordinary user here: {probe.stderr.decode()[-200:]}")
    return prefix
