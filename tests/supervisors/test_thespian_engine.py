"""The private interfaces of Thespian that Krator uses: a new version fails here, loudly."""

from __future__ import annotations

import inspect
import logging
import os
import pickle
import socket
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import pytest
from conftest import HouseBuilder
from hypothesis import given
from hypothesis import strategies as st
from thespian.actors import ActorAddress
from thespian.system import multiprocCommon, timing, utilis
from thespian.system.admin.adminCore import AdminCore
from thespian.system.transport import TCPTransport, streamBuffer
from thespian.system.transport.IPBase import TCPv4ActorAddress
from trial_house import supervisor, worker

from supervisors import thespian_engine, thespian_frames
from supervisors.thespian_frames import FrameBuffer, FrameRefusedError, to_send_buffer

MODULES = ("supervisors.guardian", "supervisors.supervisor", "supervisors.supervision")
KEY = b"k" * 32


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    thespian_engine.install()
    with thespian_frames.key_in_use(KEY):
        yield


def received(data: bytes) -> FrameBuffer:
    buffer = FrameBuffer()
    buffer.addMore(data)
    return buffer


@given(message=st.one_of(st.text(), st.binary(), st.lists(st.integers())), cut=st.integers(1, 60))
def test_frame_arrives_in_any_pieces(message: object, cut: int) -> None:
    frame = to_send_buffer(message)
    buffer = FrameBuffer()
    assert buffer.is_empty()

    for start in range(0, len(frame), cut):
        assert not buffer.isDone()
        assert buffer.remainingAmount() == len(frame) - start or buffer.remainingAmount() <= 36
        buffer.addMore(frame[start : start + cut])

    assert buffer.isDone()
    assert buffer.completed() == (message, b"")


def test_what_follows_a_frame_is_kept_apart_and_can_be_dropped() -> None:
    buffer = received(to_send_buffer("one") + b"two")

    assert buffer.completed() == ("one", b"two")

    buffer.removeExtra()
    assert buffer.completed() == ("one", b"")


def test_frame_of_another_key_is_refused() -> None:
    with thespian_frames.key_in_use(b"x" * 32):
        frame = to_send_buffer("hello")

    with pytest.raises(FrameRefusedError, match="key of this run"):
        received(frame)


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_frame_with_one_bit_changed_is_refused_or_never_whole(position: int, bit: int) -> None:
    frame = bytearray(to_send_buffer("hello"))
    frame[position % len(frame)] ^= 1 << bit

    try:
        buffer = received(bytes(frame))
    except FrameRefusedError:
        return
    assert not buffer.isDone()
    assert buffer.completed() is None


def test_frame_that_is_too_long_is_refused_by_its_header() -> None:
    with pytest.raises(FrameRefusedError, match="exceeds"):
        received(b"\xff" * 36)


def test_nothing_is_written_without_a_key() -> None:
    with thespian_frames.key_in_use(b""), pytest.raises(FrameRefusedError, match="no key"):
        to_send_buffer("hello")


def test_thespian_sends_and_reads_our_frames() -> None:
    assert TCPTransport.ReceiveBuffer is FrameBuffer
    assert TCPTransport.toSendBuffer is to_send_buffer
    assert received(TCPTransport.ackMsg).completed() == (streamBuffer.ackPacket, b"")
    assert received(TCPTransport.ackDataErrMsg).completed() == (streamBuffer.ackDataErrPacket, b"")
    assert TCPTransport.serializer is pickle
    source = inspect.getsource(TCPTransport)
    assert source.count("ReceiveBuffer(serializer.loads)") == 4
    assert source.count("toSendBuffer(") == 1


def test_buffer_has_all_that_thespian_calls_on_its_own() -> None:
    names = {name for name in vars(streamBuffer.ReceiveBuffer) if not name.startswith("_")}

    assert names <= set(vars(FrameBuffer))


@pytest.mark.parametrize("host", [None, "", "0.0.0.0", "127.0.0.1"])
@pytest.mark.parametrize("external", [True, False, ("", 1900), ("10.1.2.3", 1900)])
def test_every_address_is_bound_to_loopback(host: str | None, external: Any) -> None:
    address = TCPv4ActorAddress(host, 1234, external=external)

    assert address.bindArgs == (("127.0.0.1", 1234),)
    assert address.connectArgs == (("127.0.0.1", 1234),)
    assert ActorAddress(address) == ActorAddress(TCPv4ActorAddress("127.0.0.1", 1234))


def test_admin_finds_the_log_definitions_under_both_spellings() -> None:
    admin = AdminCore.__new__(AdminCore)
    admin.logdefs = {"version": 1}

    assert admin.logDefs == {"version": 1}
    assert "self.logDefs" in inspect.getsource(multiprocCommon.MultiProcReplicator.childDied)


def test_dead_children_are_not_filtered_away() -> None:
    replicator = multiprocCommon.MultiProcReplicator()
    replicator._child_procs = ["somebody"]

    replicator._childExited("anybody")

    assert replicator._child_procs == ["somebody"]


def test_arguments_of_a_child_are_where_we_take_them_from() -> None:
    real = inspect.signature(thespian_engine._real_start_child)
    names = list(real.parameters)

    assert names[thespian_engine._FILES_TO_CLOSE] == "fileNumsToClose"
    assert len(names) == 15


def test_functions_that_fork_call_ours() -> None:
    assert multiprocCommon.startChild is thespian_engine._run_actor
    assert multiprocCommon.startupASLogger is thespian_engine._run_logger
    assert multiprocCommon.MultiProcManager is thespian_engine._Manager
    assert "MultiProcManager(" in inspect.getsource(thespian_engine._real_start_child)
    assert "target=startupASLogger" in inspect.getsource(multiprocCommon.startASLogger)
    source = inspect.getsource(multiprocCommon.MultiProcReplicator._startChildActor)
    assert "target=startChild" in source
    assert "self._child_procs.append(" in source
    assert inspect.getsource(thespian_engine._real_start_admin).count("os.fork()") == 1


def test_thespian_neither_logs_nor_writes_its_own_file() -> None:
    forwarder = multiprocCommon.ThespianLogForwarder("somebody", None, logLevel=0)

    assert not [each for each in forwarder.handlers if "Thespian" in type(each).__name__]
    assert utilis._thesplog_control_settings == (logging.CRITICAL + 1, False, 0)


def test_port_that_somebody_listens_on_is_not_free() -> None:
    port = thespian_engine.free_port()
    assert thespian_engine.port_is_free(port)

    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert not thespian_engine.port_is_free(port)


def test_pinned_version_is_installed() -> None:
    assert version("thespian") == "4.0.1"


def test_timer_that_is_due_in_less_than_a_microsecond_is_waited_for(
    house: HouseBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if every look of the tree's loops at the clock came at this worst moment.
    heart, running = os.getpid(), [TCPTransport.TCPTransport]
    real_run = TCPTransport.TCPTransport._runWithExpiry

    def run(transport: Any, handler: Any) -> Any:
        running[0] = transport
        return real_run(transport, handler)

    def just_before() -> float:
        now = time.perf_counter()
        due = None if os.getpid() == heart else running[0].run_time._time_to_quit
        return now if due is None else float(max(now, due - 2e-7))

    monkeypatch.setattr(TCPTransport.TCPTransport, "_runWithExpiry", run)
    monkeypatch.setattr(TCPTransport, "currentTime", just_before)
    system = house(supervisor("root", worker("a"))).start()
    beats = system.heart._body._slot

    before = beats.count
    system.eventually(lambda: beats.count > before + 10)
    assert system.reports("child_terminated") == []


@pytest.mark.parametrize("secs", [0.0, 2e-7, 1e-6, 1.5])
def test_time_that_a_timer_still_runs_is_never_rounded_to_nothing(secs: float) -> None:
    now = 1_000.0

    left = timing.ExpirationTimerView(None, now + secs, now).remaining()

    assert bool(left) is bool(secs)
    assert left.total_seconds() == pytest.approx(secs, abs=1.5e-6)
    assert timing.ExpirationTimerView(None, None, now).remaining() is None
