import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.messages import PeerUnreachableError
from supervisors.sockets import RuntimeFolder, socket_name


@given(st.text(min_size=1), st.text(min_size=1))
def test_each_name_has_a_short_file_name_of_its_own(one: str, other: str) -> None:
    file_name = socket_name(one)

    assert (file_name == socket_name(other)) == (one == other)
    assert len(file_name) < 80
    assert "/" not in file_name
    assert file_name.isascii()


def test_socket_works_in_a_folder_whose_path_exceeds_what_a_socket_may_have(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)

    name = "strategy:BTC-USDT.SIM/" + "x" * 300

    with (
        RuntimeFolder(deep) as folder,
        folder.listen(name) as listening,
        folder.connect(name) as client,
        accept(listening)[0] as server,
    ):
        client.send(b"hello")

        assert server.recv(5) == b"hello"


def test_replacement_takes_the_name_from_one_that_still_listens(tmp_path: Path) -> None:
    with (
        RuntimeFolder(tmp_path) as folder,
        folder.listen("risk") as old,
        folder.listen("risk") as new,
        folder.connect("risk"),
        accept(new)[0],
        pytest.raises(BlockingIOError),
    ):
        old.accept()


def test_closed_listener_refuses_and_an_unknown_name_is_not_found(tmp_path: Path) -> None:
    with RuntimeFolder(tmp_path) as folder:
        folder.listen("risk").close()

        with pytest.raises(ConnectionRefusedError):
            folder.connect("risk")
        with pytest.raises(FileNotFoundError):
            folder.connect("order:SIM")


def test_nothing_is_left_beside_the_names(tmp_path: Path) -> None:
    with RuntimeFolder(tmp_path) as folder, folder.listen("risk"):
        assert list(tmp_path.iterdir()) == [tmp_path / socket_name("risk")]


def test_missing_folder_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(PeerUnreachableError, match="the system is not running"):
        RuntimeFolder(tmp_path / "gone")


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    folder = RuntimeFolder(tmp_path)

    folder.close()
    folder.close()


def test_folder_of_another_user_is_said_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A test that runs as root may enter every folder.
    monkeypatch.setattr("supervisors.sockets.os.access", lambda path, mode: False)

    with pytest.raises(PeerUnreachableError, match="belongs to another user"):
        RuntimeFolder(tmp_path)


def test_name_that_cannot_be_bound_leaves_no_socket_behind(tmp_path: Path) -> None:
    with RuntimeFolder(tmp_path) as folder:
        (tmp_path / socket_name("risk")).mkdir()

        with pytest.raises(IsADirectoryError):
            folder.listen("risk")


def accept(listening: socket.socket) -> tuple[socket.socket, object]:
    listening.setblocking(True)
    return listening.accept()
