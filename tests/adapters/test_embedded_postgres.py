from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import psutil
import pytest

from krator_actors.adapters import embedded_postgres, embedded_postgres_cluster
from krator_actors.adapters.child_process import ChildProcess
from krator_actors.adapters.embedded_postgres import (
    Account,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    embedded_dsn,
    temporary_server,
)
from krator_actors.adapters.embedded_postgres_cluster import cluster_major, server_binaries
from supervisors import output

ROOT = Path(__file__).parents[2]
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to change the account")

Make = Callable[..., EmbeddedPostgres]


@pytest.fixture
async def make(short_dir: Path) -> AsyncIterator[Make]:
    """Make servers over one cluster; all are ended afterwards."""
    made: list[EmbeddedPostgres] = []

    def server(**options: Account) -> EmbeddedPostgres:
        made.append(EmbeddedPostgres(short_dir / "data", short_dir / "run", **options))
        return made[-1]

    (short_dir / "data").mkdir(exist_ok=True)
    yield server
    for server_made in made:
        await server_made.kill()


@pytest.fixture(scope="session")
def finished_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster with nothing in it, to copy: making one takes most of a second."""
    folder = tmp_path_factory.mktemp("cluster")
    server = EmbeddedPostgres(folder, folder)
    # The path of this folder may be too long for a socket.
    server._sockets = Path(f"/tmp/krt{os.getpid()}")

    async def once() -> None:
        await server.start(timeout_secs=30)
        await server.stop(timeout_secs=10)

    with asyncio.Runner() as runner:
        runner.run(once())
    shutil.rmtree(server._sockets)
    return server.cluster


@pytest.fixture
def cluster(finished_cluster: Path, short_dir: Path) -> Path:
    return shutil.copytree(finished_cluster, short_dir / "data" / "postgres")


async def query(run: Path, statement: str) -> object:
    connection = await asyncpg.connect(embedded_dsn(run))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def backends(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


async def test_cluster_is_made_and_the_server_answers(make: Make, short_dir: Path) -> None:
    server = make()

    await server.start(timeout_secs=30)

    assert str(await query(short_dir / "run", "SELECT version()")).startswith("PostgreSQL 18")
    assert await query(short_dir / "run", "SHOW server_encoding") == "UTF8"
    assert await query(short_dir / "run", "SHOW fsync") == "on"
    assert not server.cluster.with_name("postgres.new").exists()


@pytest.mark.usefixtures("cluster")
async def test_nobody_else_can_reach_it(make: Make, short_dir: Path) -> None:
    server = make()
    await server.start(timeout_secs=30)

    connections = psutil.Process(server.pid).net_connections(kind="inet")

    assert connections == []
    assert stat.S_IMODE((short_dir / "run" / "pg").stat().st_mode) == 0o700
    assert stat.S_IMODE(server.cluster.stat().st_mode) == 0o700


@pytest.mark.usefixtures("cluster")
async def test_stop_leaves_nothing_behind(make: Make) -> None:
    server = make()
    await server.start(timeout_secs=30)
    processes = [psutil.Process(server.pid), *backends(server.pid)]

    await server.stop(timeout_secs=10)

    assert not any(process.is_running() for process in processes)
    assert not (server.cluster / "postmaster.pid").exists()
    assert server.pid == 0


@pytest.mark.usefixtures("cluster")
async def test_killed_server_starts_again_with_all_that_was_committed(
    make: Make, short_dir: Path
) -> None:
    first = make()
    await first.start(timeout_secs=30)
    await query(short_dir / "run", "CREATE TABLE t AS SELECT 42 AS n")
    assert (first.cluster / "postmaster.pid").exists()

    os.kill(first.pid, signal.SIGKILL)
    assert await first.exited() == -signal.SIGKILL
    await first.kill()
    await make().start(timeout_secs=30)

    assert await query(short_dir / "run", "SELECT n FROM t") == 42


@pytest.mark.usefixtures("cluster")
async def test_killed_backend_is_healed_by_the_server_itself(make: Make, short_dir: Path) -> None:
    server = make()
    await server.start(timeout_secs=30)
    connection = await asyncpg.connect(embedded_dsn(short_dir / "run"))

    os.kill(connection.get_server_pid(), signal.SIGKILL)
    await asyncio.to_thread(gone, connection.get_server_pid())
    connection.terminate()

    assert server.pid
    await server._wait_ready(30)


@pytest.mark.usefixtures("cluster")
async def test_server_dies_with_the_process_that_started_it(make: Make, short_dir: Path) -> None:
    server = make()
    code = textwrap.dedent(f"""
        import asyncio, pathlib
        from krator_actors.adapters.embedded_postgres import EmbeddedPostgres
        async def main():
            folder = pathlib.Path({str(short_dir)!r})
            server = EmbeddedPostgres(folder / "data", folder / "run")
            await server.start(timeout_secs=30)
            print(server.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        postmaster = psutil.Process(int(owner.stdout.readline()))
        others = backends(postmaster.pid)

        with pytest.raises(EmbeddedPostgresError, match=f"in use by process {owner.pid}"):
            await in_use(server)
        os.kill(owner.pid, signal.SIGKILL)
        await server.start(timeout_secs=30)

        # The lock was free, so the earlier server has gone with all its processes.
        assert not any(p.is_running() for p in (postmaster, *others) if not is_zombie(p))
        assert await query(short_dir / "run", "SELECT 1") == 1


async def in_use(server: EmbeddedPostgres) -> None:
    wait = embedded_postgres_cluster._LOCK_WAIT_SECS
    embedded_postgres_cluster._LOCK_WAIT_SECS = 0.1
    try:
        await server.start(timeout_secs=5)
    finally:
        embedded_postgres_cluster._LOCK_WAIT_SECS = wait


def gone(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=10)


def is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@pytest.mark.usefixtures("cluster")
async def test_hanging_server_of_a_dead_owner_is_ended(
    make: Make, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres_cluster, "_LOCK_WAIT_SECS", 0.5)
    hanging = make()
    await hanging.start(timeout_secs=30)
    processes = [psutil.Process(hanging.pid), *backends(hanging.pid)]
    for process in processes:
        process.suspend()
    hanging._lock.release()
    (short_dir / "data" / "postgres.lock").write_text("1 0.0")

    server = make()
    await server.start(timeout_secs=30)

    assert await query(short_dir / "run", "SELECT 1") == 1
    assert await hanging.exited() == -signal.SIGKILL


@pytest.mark.usefixtures("cluster")
async def test_server_that_somebody_started_by_hand_is_left_alone(
    make: Make, short_dir: Path
) -> None:
    other = make()
    await other.start(timeout_secs=30)
    # As if it had been started without the lock.
    (short_dir / "data" / "postgres.lock").unlink()

    with pytest.raises(EmbeddedPostgresError, match=f"in use by process {other.pid}"):
        await make().start(timeout_secs=5)

    assert await query(short_dir / "run", "SELECT 1") == 1


async def test_locked_cluster_whose_user_cannot_be_found_is_said(
    make: Make, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_postgres_cluster, "_LOCK_WAIT_SECS", 0.05)
    with (short_dir / "data" / "postgres.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        with pytest.raises(EmbeddedPostgresError, match="stays locked"):
            await make().start(timeout_secs=5)


async def test_stale_files_of_a_reused_process_id_do_not_matter(
    make: Make, short_dir: Path, cluster: Path
) -> None:
    (cluster / "postmaster.pid").write_text(f"{os.getppid()}\n{cluster}\n1\n5432\n\n\n\n")
    sockets = short_dir / "run" / "pg"
    sockets.mkdir(parents=True)
    (sockets / ".s.PGSQL.5432").touch()
    (sockets / ".s.PGSQL.5432.lock").write_text(f"{os.getppid()}\n{cluster}\n1\n5432\n")

    await make().start(timeout_secs=30)

    assert await query(short_dir / "run", "SELECT 1") == 1


async def test_unfinished_cluster_of_a_killed_start_is_made_again(
    make: Make, short_dir: Path
) -> None:
    unfinished = short_dir / "data" / "postgres.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")

    await make().start(timeout_secs=30)

    assert await query(short_dir / "run", "SELECT 1") == 1


async def test_cluster_of_another_version_is_named(make: Make, cluster: Path) -> None:
    (cluster / "PG_VERSION").write_text("12\n")

    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 12; this environment has"):
        await make().start(timeout_secs=5)


def test_cluster_of_the_older_version_in_the_wheel_gets_its_server(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("16\n")

    assert cluster_major(tmp_path) == 16
    assert cluster_major(tmp_path / "none") is None
    assert server_binaries(16).parent.name == "pginstall"
    assert server_binaries(None).parent.name == "pginstall18"


async def test_folder_that_is_no_cluster_is_left_alone(make: Make, short_dir: Path) -> None:
    (short_dir / "data" / "postgres").mkdir()

    with pytest.raises(EmbeddedPostgresError, match="is not a PostgreSQL cluster: move it away"):
        await make().start(timeout_secs=5)


async def test_socket_path_that_is_too_long_is_said_before_anything_starts(
    short_dir: Path,
) -> None:
    server = EmbeddedPostgres(short_dir, short_dir / ("x" * 100))

    with pytest.raises(EmbeddedPostgresError, match="choose a shorter runtime folder"):
        await server.start(timeout_secs=5)

    assert not (short_dir / "postgres").exists()


async def test_damaged_cluster_is_said_with_the_end_of_the_log(make: Make, cluster: Path) -> None:
    control = cluster / "global" / "pg_control"
    control.write_bytes(bytes(control.stat().st_size))

    with pytest.raises(EmbeddedPostgresError, match="PostgreSQL ended with status") as raised:
        await make().start(timeout_secs=30)

    assert "postgres.log:\n" in str(raised.value)
    assert "FATAL" in str(raised.value)
    assert "move the folder postgres away" in str(raised.value)


async def test_full_disk_at_initdb_is_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make()
    spawn = server._log.spawn

    def fail(*_: object) -> ChildProcess:
        return spawn(["/bin/sh", "-c", "echo 'initdb: No space left on device' >&2; exit 1"])

    monkeypatch.setattr(server._log, "spawn", fail)

    with pytest.raises(EmbeddedPostgresError, match=r"initdb ended with status 1.*free some space"):
        await server.start(timeout_secs=5)

    assert not server.cluster.exists()


async def test_initdb_that_hangs_is_ended(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_postgres, "_INITDB_TIMEOUT_SECS", 0.1)
    server = make()
    spawn = server._log.spawn
    monkeypatch.setattr(server._log, "spawn", lambda *_: spawn(["/bin/sleep", "60"]))

    with pytest.raises(EmbeddedPostgresError, match=r"initdb took longer than 0\.1 s"):
        await server.start(timeout_secs=5)


async def test_server_that_is_never_ready_is_ended(
    make: Make, cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make()
    spawn = server._log.spawn
    pids: list[int] = []

    def hang(*_: object) -> ChildProcess:
        process = spawn(["/bin/sleep", "60"])
        pids.append(process.pid)
        return process

    monkeypatch.setattr(server._log, "spawn", hang)

    with pytest.raises(EmbeddedPostgresError, match=r"was not ready after 0\.2 s"):
        await server.start(timeout_secs=0.2)

    assert pids
    assert not psutil.pid_exists(pids[0])


async def test_folder_that_cannot_be_written_is_said(short_dir: Path) -> None:
    (short_dir / "data").write_text("a file")

    with pytest.raises(EmbeddedPostgresError, match="cannot be started"):
        await EmbeddedPostgres(short_dir / "data", short_dir / "run").start(timeout_secs=5)


@pytest.mark.usefixtures("cluster")
async def test_temporary_server_ends_with_its_block(short_dir: Path) -> None:
    async with temporary_server(short_dir / "data", short_dir / "run") as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()

    with pytest.raises(OSError, match="No such file"):
        await asyncpg.connect(dsn)


@pytest.mark.usefixtures("cluster")
async def test_long_server_log_is_put_aside(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_MAX_FILE_BYTES", 100_000)
    server = make()
    server.log_file.parent.mkdir()
    server.log_file.write_text("something of an earlier start\n" * 4_000)

    await server.start(timeout_secs=30)

    assert "earlier" in server.log_file.with_name("postgres.log.1").read_text()
    assert "earlier" not in server.log_tail()


@as_root
async def test_where_namespaces_are_refused_nobody_runs_it(make: Make, short_dir: Path) -> None:
    short_dir.chmod(0o755)
    first = make(account=Account.NOBODY)
    await first.start(timeout_secs=30)
    await query(short_dir / "run", "CREATE TABLE t AS SELECT 42 AS n")

    assert psutil.Process(first.pid).uids().real == NOBODY
    await first.stop(timeout_secs=10)
    assert not (short_dir / "run" / "pg").is_symlink()

    # And the account may change from start to start.
    second = make(account=Account.NAMESPACE)
    await second.start(timeout_secs=30)
    assert second.cluster.stat().st_uid == 0
    assert await query(short_dir / "run", "SELECT n FROM t") == 42


@as_root
@pytest.mark.usefixtures("cluster")
async def test_folder_out_of_nobodys_reach_is_said(make: Make) -> None:
    with pytest.raises(EmbeddedPostgresError, match="every folder above the data folder"):
        await make(account=Account.NOBODY).start(timeout_secs=5)


AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def run_as_nobody(python: str, code: str, home: Path) -> subprocess.CompletedProcess[str]:
    path = f"{ROOT}:{Path(asyncpg.__file__).parents[1]}"
    return subprocess.run(
        [*AS_NOBODY, python, "-c", code],
        check=False, capture_output=True, text=True, timeout=60, cwd=ROOT,
        env={"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path},
    )  # fmt: skip


@as_root
def test_ordinary_user_runs_it_too(short_dir: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    usable = "import asyncpg, os, sys; assert os.access(sys.executable, os.X_OK)"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    pythons = [sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"]
    pythons = [p for p in pythons if not run_as_nobody(p, usable, short_dir).returncode]
    if not pythons:
        pytest.skip("no Python that an ordinary user may execute")
    for folder in (short_dir, short_dir / "data", short_dir / "run"):
        folder.mkdir(exist_ok=True)
        os.chown(folder, NOBODY, NOBODY)
    code = f"""
import asyncio, os, pathlib
import asyncpg
from krator_actors.adapters.embedded_postgres import temporary_server
async def main():
    folder = pathlib.Path({str(short_dir)!r})
    async with temporary_server(folder / "data", folder / "run") as dsn:
        connection = await asyncpg.connect(dsn)
        print(os.geteuid(), await connection.fetchval("SELECT 1"))
        await connection.close()
asyncio.run(main())
"""

    result = run_as_nobody(pythons[0], code, short_dir)

    assert (result.stdout, result.stderr) == (f"{NOBODY} 1\n", "")
