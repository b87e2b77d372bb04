from __future__ import annotations

from pathlib import Path

from krator_actors.adapters.log_drops import LogDrops

LOST = b'{"component":"risk","event_type":"x","log_lines_dropped":3}\n'
OTHER = b'{"component":"risk","event_type":"x"}\n'


def test_only_what_is_new_is_counted_by_component(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LOST)
    drops = LogDrops(path)
    with path.open("ab") as file:
        file.write(OTHER + LOST + LOST.replace(b"risk", b"feed") + LOST[:20])

    drops.look()
    drops.look()

    assert drops.dropped == {"risk": 3, "feed": 3}


def test_rest_of_a_line_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    drops = LogDrops(path)
    path.write_bytes(LOST[:30])
    drops.look()
    with path.open("ab") as file:
        file.write(LOST[30:])

    drops.look()

    assert drops.dropped == {"risk": 3}


def test_log_that_was_begun_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(OTHER * 100)
    drops = LogDrops(path)
    path.rename(tmp_path / "log.1")
    path.write_bytes(LOST)

    drops.look()

    assert drops.dropped == {"risk": 3}


def test_lines_that_are_none_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    drops = LogDrops(path)
    drops.look()
    path.write_bytes(b'{"log_lines_dropped":"x"}\n\xff"log_lines_dropped":1\n' + LOST)

    drops.look()

    assert drops.dropped == {"risk": 3}
