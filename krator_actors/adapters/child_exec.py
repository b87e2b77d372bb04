"""Become what a server wants to be started as, then become the server.

A program of its own because this must happen between fork and exec, and the process that starts
a server has threads: Python code in a forked child of it (``preexec_fn``) can deadlock. It runs
as ``python -I -S child_exec.py ACCOUNT PARENT SIGNAL PROGRAM ARGUMENT...`` and imports next to
nothing, so it takes about 20 ms.

``ACCOUNT`` is ``same``; ``namespace:ID`` (this user becomes ``ID`` of a new user namespace, because
PostgreSQL refuses root and users without a name, while its files stay this user's); or
``UID:GID``. ``SIGNAL`` is what the kernel
sends to the program when ``PARENT``, more exactly the thread that forked, ends. Exit codes: 124 the
parent has gone, 125 the account was refused, 126 the program cannot be executed.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import NoReturn

PARENT_GONE = 124
ACCOUNT_REFUSED = 125
NOT_EXECUTABLE = 126

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_NAMESPACE = "namespace:"


def main(arguments: list[str]) -> NoReturn:
    """Change account, bind the life to the parent's, execute. Never returns."""
    account, parent, signal_number, program = arguments[:4]
    try:
        take_account(account)
    except OSError as error:
        fail(ACCOUNT_REFUSED, f"cannot become {account}: {error}")
    # After the account, because a change of credentials clears the death signal.
    die_with_parent(int(signal_number))
    if os.getppid() != int(parent):
        fail(PARENT_GONE, "the parent ended before the program was started")
    try:
        os.execv(program, [program, *arguments[4:]])  # noqa: S606 - no shell is the point
    except OSError as error:
        fail(NOT_EXECUTABLE, f"cannot execute {program}: {error}")


def take_account(account: str) -> None:
    """Become ``same``, ``namespace:ID`` or ``UID:GID``; OSError when the kernel refuses."""
    if account.startswith(_NAMESPACE):
        _enter_namespace(int(account.removeprefix(_NAMESPACE)))
    elif account != "same":
        user, group = (int(part) for part in account.split(":"))
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)


def die_with_parent(signal_number: int) -> None:
    """Ask the kernel for ``signal_number`` when the parent ends; 0 asks for nothing."""
    _call("prctl", _PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def fail(code: int, text: str) -> NoReturn:
    """Say why and exit."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
    os._exit(code)


def _enter_namespace(inner_id: int) -> None:
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{inner_id} {user} 1")
    _write("/proc/self/gid_map", f"{inner_id} {group} 1")


def _call(function: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(sys.argv[1:])
