"""Session against real servers: ``websockets``', and raw sockets for what it would not do."""

from __future__ import annotations

import asyncio
import datetime as dt
import http
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.uri import parse_uri
from websockets.utils import accept_key

from krator_actors.adapters.session import ReconnectPolicy, Session, parse_retry_after
from krator_actors.adapters.websocket import WebSocketConnection
from krator_actors.ports import CloseAdvice
from krator_actors.venue_errors import VenueUnavailableError

DEADLINE_SECS = 10.0
AT_ONCE = ReconnectPolicy(initial_secs=0.01, max_secs=0.02)
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
Handler = Callable[[ServerConnection], Awaitable[None]]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECS):
        while not condition():
            await asyncio.sleep(0.005)


class Caller:
    """What a venue adapter does with a session, recorded."""

    def __init__(self, url: str, **options: object) -> None:
        self.texts: list[str] = []
        self.connections = 0
        self.reasons: list[str] = []
        settings = {
            "on_connected": self.connected,
            "on_text": lambda data: self.texts.append(data.decode()),
            "on_disconnected": self.reasons.append,
            "heartbeat_secs": 5.0,
            "reconnect": AT_ONCE,
            "connect_timeout_secs": 2.0,
        }
        self.session = Session(url, **{**settings, **options})  # type: ignore[arg-type]

    async def connected(self) -> None:
        self.connections += 1
        self.session.send("hello")


@asynccontextmanager
async def keeping(session: Session) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(session.run())
    try:
        yield task
    finally:
        await session.close()
        await asyncio.wait({task})


@asynccontextmanager
async def venue(handler: Handler, **options: object) -> AsyncIterator[str]:
    server: Server
    async with serve(handler, "127.0.0.1", 0, ping_interval=None, **options) as server:  # type: ignore[arg-type]
        yield f"ws://127.0.0.1:{port_of(server)}/stream"


def port_of(server: Server | asyncio.Server) -> int:
    port = next(iter(server.sockets)).getsockname()[1]
    assert isinstance(port, int)
    return port


@asynccontextmanager
async def raw_venue(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{port_of(server)}/stream"
    finally:
        server.close()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def test_text_sent_is_answered() -> None:
    async with venue(echo) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: caller.texts == ["hello"] and caller.session.connected)

        assert not caller.session.connected
        assert caller.reasons == []


def test_all_that_works_on_the_loop_of_the_brain() -> None:
    async def everyday() -> None:
        await test_text_sent_is_answered()
        await test_connection_closed_by_the_venue_is_made_again_and_subscribed_again(1012)
        await test_reset_connection_is_made_again()
        await test_silence_without_pongs_is_a_dead_connection()
        await test_cancelled_run_leaves_no_connection()

    uvloop.run(everyday())


async def test_send_before_a_connection_says_that_nothing_was_sent() -> None:
    caller = Caller("ws://127.0.0.1:9/stream")

    with pytest.raises(VenueUnavailableError):
        caller.session.send("order")


@pytest.mark.parametrize("code", [1000, 1001, 1012])
async def test_connection_closed_by_the_venue_is_made_again_and_subscribed_again(code: int) -> None:
    async def close_once_subscribed(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(code, "service restart")

    async with venue(close_once_subscribed) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: caller.connections >= 3)

        assert f"{code}" in caller.reasons[0]
        assert "service restart" in caller.reasons[0]


async def test_messages_before_a_close_are_all_delivered() -> None:
    async def burst(connection: ServerConnection) -> None:
        for number in range(100):
            await connection.send(str(number))

    async with venue(burst) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts[:100] == [str(number) for number in range(100)]


async def test_reset_connection_is_made_again() -> None:
    async def reset(connection: ServerConnection) -> None:
        await connection.recv()
        raw = connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.transport.abort()

    async with venue(reset) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: caller.connections >= 2)

        assert "connection lost" in caller.reasons[0]


async def test_silence_with_pongs_is_no_dead_connection() -> None:
    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with venue(silent) as url:
        caller = Caller(url, heartbeat_secs=0.3)
        async with keeping(caller.session):
            await eventually(lambda: caller.connections == 1)

            await asyncio.sleep(1.0)

            assert caller.session.connected
            assert caller.reasons == []


async def test_silence_without_pongs_is_a_dead_connection() -> None:
    async def mute(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with venue(mute, close_timeout=0.1) as url:
        caller = Caller(url, heartbeat_secs=0.3)

        async with keeping(caller.session):
            await eventually(lambda: caller.connections >= 2)

        assert "nothing received for" in caller.reasons[0]


async def test_server_that_never_answers_the_handshake_is_given_up() -> None:
    async def never(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_venue(never) as url:
        caller = Caller(url, connect_timeout_secs=0.2)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 2)

        assert caller.reasons[0] == "no connection within 0.2 s"


async def test_heartbeat_shorter_than_the_handshake_gives_up_earlier() -> None:
    async def never(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_venue(never) as url:
        caller = Caller(url, heartbeat_secs=0.1)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 2)

        assert "nothing received" in caller.reasons[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 301 Moved\r\nLocation: ws://elsewhere\r\n\r\n",
        UPGRADE + b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 " + b"9" * 100_000,
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["eof", "garbage", "200", "redirect", "wrong key", "endless line", "ssh"],
)
async def test_answer_that_is_no_upgrade_is_reported_and_tried_again(answer: bytes) -> None:
    async def answer_so(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_venue(answer_so) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 2)

        assert caller.connections == 0
        assert caller.reasons[0]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_of_a_refused_upgrade_is_honored(status: int) -> None:
    attempts: list[float] = []

    async def refuse(connection: ServerConnection, _request: Request) -> Response:
        attempts.append(asyncio.get_running_loop().time())
        response = connection.respond(http.HTTPStatus(status), "slow down\n")
        response.headers["Retry-After"] = "1"
        return response

    async with venue(echo, process_request=refuse) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(attempts) >= 2)

        assert caller.reasons[0] == f"upgrade refused: HTTP {status}"
        assert attempts[1] - attempts[0] >= 1.0


async def test_nobody_listening_is_reported_and_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    caller = Caller(f"ws://127.0.0.1:{port}/stream")

    async with keeping(caller.session):
        await eventually(lambda: len(caller.reasons) >= 3)

    assert caller.reasons[0].startswith("connect failed")


async def test_host_without_address_is_reported_and_tried_again() -> None:
    caller = Caller("ws://venue.invalid/stream")

    async with keeping(caller.session):
        await eventually(lambda: len(caller.reasons) >= 1)

    assert caller.reasons[0].startswith(("connect failed", "no connection"))


async def test_message_of_20_megabytes_ends_the_connection() -> None:
    async def flood(connection: ServerConnection) -> None:
        await connection.send("x" * 20_000_000)

    async with venue(flood) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts == []
        assert "1009" in caller.reasons[0] or "exceeds limit" in caller.reasons[0]


async def test_fragments_are_joined_and_their_sum_is_limited() -> None:
    async def fragments(connection: ServerConnection) -> None:
        await connection.send(["", "be", "gin", "", "end"])
        await connection.send(["x" * 600, "y" * 600])

    async with venue(fragments) as url:
        caller = Caller(url, max_frame_bytes=1000)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts[0] == "beginend"
        assert "too" in caller.reasons[0] or "limit" in caller.reasons[0]


async def test_invalid_utf8_ends_the_connection() -> None:
    async def lie(connection: ServerConnection) -> None:
        await connection.send(b"\xff\xfe{}", text=True)
        await connection.wait_closed()

    async with venue(lie) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts == []
        assert "UTF-8" in caller.reasons[0]


async def test_binary_message_ends_the_connection() -> None:
    async def binary(connection: ServerConnection) -> None:
        await connection.send(b"\x00")
        await connection.send("after")
        await connection.wait_closed()

    async with venue(binary) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts == []
        assert "binary" in caller.reasons[0]


class DeafTransport(asyncio.Transport):
    """Takes what is written and delivers nothing."""

    def __init__(self) -> None:
        super().__init__({"socket": self})
        self.closed = False

    def setsockopt(self, *_option: int) -> None:
        pass

    def write(self, data: object) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    abort = close


@given(junk=st.binary(min_size=1, max_size=100))
async def test_no_bytes_of_the_venue_raise(junk: bytes) -> None:
    texts: list[bytes] = []
    connection = WebSocketConnection(parse_uri("ws://venue/"), texts.append, 5.0, 1_000)
    connection.connection_made(DeafTransport())
    accept = accept_key(connection._websocket.key)
    connection.data_received(UPGRADE + b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n")
    assert connection.is_open

    connection.data_received(junk)
    connection.eof_received()
    connection.connection_lost(None)

    assert connection.lost.result()


def frames_of(text: str, *, fragments: bool) -> bytes:
    """Return a venue's frames of one message; in two fragments around a ping, or whole."""
    data = text.encode()
    if not fragments:
        return Frame(Opcode.TEXT, data).serialize(mask=False)
    half = len(data) // 2
    parts = [Frame(Opcode.TEXT, data[:half], fin=False), Frame(Opcode.PING, b"")]
    parts.append(Frame(Opcode.CONT, data[half:]))
    return b"".join(part.serialize(mask=False) for part in parts)


TEXTS = st.one_of(
    st.text(max_size=130), st.integers(120, 130).map("x".__mul__), st.just("y" * 70_000)
)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
async def test_text_of_any_size_arrives_as_it_was_sent(size: int) -> None:
    async with venue(echo) as url:
        caller = Caller(url)
        async with keeping(caller.session):
            await eventually(lambda: caller.session.connected)

            caller.session.send("ä" * (size // 2) + "x" * (size % 2))
            await eventually(lambda: len(caller.texts) == 2)

    assert caller.texts == ["hello", "ä" * (size // 2) + "x" * (size % 2)]


@given(
    messages=st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 300), max_size=30),
)
async def test_messages_are_whole_in_whatever_pieces_their_bytes_come(
    messages: list[tuple[str, bool]], cuts: list[int]
) -> None:
    texts: list[bytes] = []
    connection = WebSocketConnection(parse_uri("ws://venue/"), texts.append, 5.0, 100_000)
    connection.connection_made(DeafTransport())
    accept = accept_key(connection._websocket.key)
    stream = UPGRADE + b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    stream += b"".join(frames_of(text, fragments=fragments) for text, fragments in messages)

    for size in cuts:
        if stream:
            connection.data_received(stream[:size])
            stream = stream[size:]
    connection.data_received(stream or Frame(Opcode.PONG, b"").serialize(mask=False))
    connection.connection_lost(None)

    assert texts == [text.encode() for text, _ in messages]
    connection.lost.result()


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.TEXT, b"masked").serialize(mask=True),
        Frame(Opcode.TEXT, b"z" * 1_001).serialize(mask=False),
        b"\x81\x7f\xff" + bytes(7),
        b"\xc1\x00",
        Frame(Opcode.TEXT, b"a", fin=False).serialize(mask=False) + b"\x81\x01b",
    ],
    ids=["masked", "too long", "longer than any", "reserved bit", "text within fragments"],
)
async def test_frame_that_breaks_the_protocol_ends_the_connection(frame: bytes) -> None:
    texts: list[bytes] = []
    connection = WebSocketConnection(parse_uri("ws://venue/"), texts.append, 5.0, 1_000)
    connection.connection_made(DeafTransport())
    accept = accept_key(connection._websocket.key)
    connection.data_received(UPGRADE + b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n")

    connection.data_received(frame + Frame(Opcode.TEXT, b"after").serialize(mask=False))
    connection.connection_lost(None)

    assert texts == []
    assert connection.lost.result().startswith("protocol error")


async def test_ping_of_the_venue_is_answered() -> None:
    answered = asyncio.Event()

    async def ping(connection: ServerConnection) -> None:
        await (await connection.ping("1723161255000"))
        answered.set()
        await connection.wait_closed()

    async with venue(ping) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await asyncio.wait_for(answered.wait(), DEADLINE_SECS)


async def test_what_on_text_raises_comes_out_of_run() -> None:
    def broken(_text: bytes) -> None:
        raise ZeroDivisionError("a programming error")

    async with venue(echo) as url:
        caller = Caller(url, on_text=broken)

        async with keeping(caller.session) as run:
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(run, DEADLINE_SECS)


async def test_what_on_connected_raises_comes_out_of_run() -> None:
    async def broken() -> None:
        raise TimeoutError("not the network's")

    async with venue(echo) as url:
        caller = Caller(url, on_connected=broken)

        async with keeping(caller.session) as run:
            with pytest.raises(TimeoutError, match="not the network's"):
                await asyncio.wait_for(run, DEADLINE_SECS)


async def test_log_on_that_fails_is_tried_again() -> None:
    attempts = 0

    async def refused_once() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise VenueUnavailableError("no acknowledgement")

    async with venue(echo) as url:
        caller = Caller(url, on_connected=refused_once)

        async with keeping(caller.session):
            await eventually(lambda: attempts == 2)

        assert caller.reasons == ["log-on failed: no acknowledgement"]


async def test_log_on_under_way_is_cancelled_when_the_connection_is_lost() -> None:
    cancelled = asyncio.Event()

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def close_at_once(connection: ServerConnection) -> None:
        await connection.close()

    async with venue(close_at_once) as url:
        caller = Caller(url, on_connected=wait_for_ever)

        async with keeping(caller.session):
            await asyncio.wait_for(cancelled.wait(), DEADLINE_SECS)


async def test_dropped_connection_is_made_again() -> None:
    async with venue(echo) as url:
        caller = Caller(url)
        async with keeping(caller.session):
            await eventually(lambda: caller.connections == 1)

            caller.session.drop("all symbols are silent")

            with pytest.raises(VenueUnavailableError):
                caller.session.send("too late")
            await eventually(lambda: caller.connections == 2)
        assert caller.reasons == ["all symbols are silent"]


async def test_venue_that_stops_reading_refuses_more_before_memory_grows() -> None:
    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with venue(deaf, close_timeout=0.1) as url:
        caller = Caller(url)
        async with keeping(caller.session):
            await eventually(lambda: caller.connections == 1)

            def send_for_ever() -> None:
                while True:
                    caller.session.send("x" * 10_000)

            with pytest.raises(VenueUnavailableError, match="does not read"):
                send_for_ever()


async def test_close_during_backoff_ends_run_at_once() -> None:
    patient = ReconnectPolicy(initial_secs=3_600, max_secs=3_600)
    caller = Caller("ws://127.0.0.1:9/stream", reconnect=patient, dice=lambda: 0.99)

    async with keeping(caller.session) as run:
        await eventually(lambda: len(caller.reasons) == 1)

        await caller.session.close()

        await asyncio.wait_for(run, DEADLINE_SECS)
    await caller.session.run()  # closed for good


async def test_cancelled_run_leaves_no_connection() -> None:
    gone = asyncio.Event()

    async def watch(connection: ServerConnection) -> None:
        await connection.wait_closed()
        gone.set()

    async with venue(watch) as url:
        caller = Caller(url)
        run = asyncio.create_task(caller.session.run())
        await eventually(lambda: caller.connections == 1)

        run.cancel()

        with pytest.raises(asyncio.CancelledError):
            await run
        await asyncio.wait_for(gone.wait(), DEADLINE_SECS)


async def test_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    trusted, server_tls = certificates(tmp_path)
    async with venue(echo, ssl=server_tls) as plain_url:
        url = plain_url.replace("ws://127.0.0.1", "wss://localhost")
        stranger, friend = Caller(url), Caller(url, tls=trusted)

        async with keeping(stranger.session), keeping(friend.session):
            await eventually(lambda: len(stranger.reasons) >= 1)
            await eventually(lambda: friend.texts == ["hello"])

        assert "CERTIFICATE_VERIFY_FAILED" in stranger.reasons[0]
        assert stranger.connections == 0


@pytest.mark.parametrize(
    ("days", "host", "why"),
    [((-9, -1), "localhost", "expired"), ((-1, 1), "elsewhere.example", "mismatch")],
    ids=["expired", "of another host"],
)
async def test_certificate_that_does_not_hold_is_refused(
    tmp_path: Path, days: tuple[int, int], host: str, why: str
) -> None:
    trusted, server_tls = certificates(tmp_path, days=days, host=host)
    async with venue(echo, ssl=server_tls) as plain_url:
        caller = Caller(plain_url.replace("ws://127.0.0.1", "wss://localhost"), tls=trusted)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 2)

        assert why in caller.reasons[0]
        assert caller.connections == 0


def certificates(
    folder: Path, *, days: tuple[int, int] = (-1, 1), host: str = "localhost"
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a client's context that trusts the server's, and the server's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return ssl.create_default_context(cafile=str(path)), server


async def test_compression_is_used_only_when_asked_for() -> None:
    agreed: list[bool] = []

    async def speak(connection: ServerConnection) -> None:
        agreed.append(bool(connection.protocol.extensions))
        await connection.send("tick " * 1_000)
        await connection.wait_closed()

    async with venue(speak) as url:
        plain, compressed = Caller(url), Caller(url, compression=True)
        async with keeping(plain.session):
            await eventually(lambda: plain.texts == ["tick " * 1_000])
        async with keeping(compressed.session):
            await eventually(lambda: compressed.texts == ["tick " * 1_000])

    assert agreed == [False, True]


async def test_small_frame_that_unpacks_to_20_megabytes_ends_the_connection() -> None:
    async def bomb(connection: ServerConnection) -> None:
        await connection.send("x" * 20_000_000)

    async with venue(bomb) as url:
        caller = Caller(url, compression=True)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

    assert caller.texts == []


async def test_venue_that_closes_with_a_code_to_wait_is_left_alone() -> None:
    async def close_at_once(connection: ServerConnection) -> None:
        await connection.close(1008, "too many requests")

    asked: list[int] = []

    def wait(code: int) -> CloseAdvice:
        asked.append(code)
        return CloseAdvice.WAIT

    patient = ReconnectPolicy(initial_secs=0.001, max_secs=60.0, healthy_secs=0.0)
    async with venue(close_at_once) as url:
        caller = Caller(url, close_advice=wait, reconnect=patient)
        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) == 1)

            await asyncio.sleep(0.1)

            assert asked == [1008]
            assert caller.connections <= 1


@pytest.mark.parametrize(
    ("advice", "secs"),
    [(CloseAdvice.RECONNECT, 0.0), (CloseAdvice.WAIT, 32.0), (CloseAdvice.GIVE_UP, 900.0)],
)
def test_wait_that_a_close_code_asks_for(advice: CloseAdvice, secs: float) -> None:
    assert ReconnectPolicy().advised_secs(advice) == secs


async def test_storm_of_connections_that_succeed_is_broken() -> None:
    async def close_at_once(connection: ServerConnection) -> None:
        await connection.close()

    flapping = ReconnectPolicy(initial_secs=0.001, healthy_secs=0.0, storm_attempts=5)
    async with venue(close_at_once) as url:
        caller = Caller(url, reconnect=flapping)
        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) == 5)

            await asyncio.sleep(0.1)

    assert len(caller.reasons) == 5


def test_first_attempt_after_a_healthy_connection_is_at_once() -> None:
    assert ReconnectPolicy().delay_secs(0, 0.99) == 0.0


@given(
    failures=st.integers(min_value=1, max_value=10**6),
    dice=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_backoff_has_full_jitter_and_a_ceiling(failures: int, dice: float) -> None:
    delay_secs = ReconnectPolicy().delay_secs(failures, dice)

    ceiling = min(32.0, 2.0 ** min(failures - 1, 10))
    assert delay_secs == pytest.approx(dice * ceiling)


async def test_unhealthy_connections_back_off_and_a_healthy_one_does_not() -> None:
    async def close_at_once(connection: ServerConnection) -> None:
        await connection.close()

    failures: list[int] = []
    never_healthy = ReconnectPolicy(initial_secs=0.001, max_secs=0.001, healthy_secs=3_600)
    async with venue(close_at_once) as url:
        caller = Caller(url, reconnect=never_healthy, on_disconnected=lambda _: note())

        def note() -> None:
            failures.append(caller.session._failures)

        async with keeping(caller.session):
            await eventually(lambda: failures[:3] == [1, 2, 3])

            # As short a backoff as before: the attempt under way may still count as a failure.
            healthy = ReconnectPolicy(initial_secs=0.001, max_secs=0.001, healthy_secs=0.0)
            caller.session._reconnect = healthy
            await eventually(lambda: failures[-1] == 0)


@pytest.mark.parametrize(
    ("value", "secs"),
    [(None, 0.0), ("", 0.0), ("7", 7.0), ("-1", 0.0), ("nan", 0.0), ("Wed, 21 Oct 2015", 0.0)],
)
def test_retry_after_is_a_number_of_seconds_or_nothing(value: str | None, secs: float) -> None:
    assert parse_retry_after(value) == secs
