"""Thespian's own ``send``, one message one way, on its TCP base as it comes: the comparison.

The one file outside ``supervisors/`` that imports Thespian, and nothing of ours is in it.
"""

from __future__ import annotations

import logging
import socket
import time
from datetime import timedelta
from typing import Any

from tests.benchmarks.measure import Counts, percentile

# Thespian looks the host's own names up when imported, which can take half a minute.
socket.getfqdn = lambda name="": name or "localhost"
socket.gethostname = lambda: "localhost"

from thespian.actors import Actor, ActorSystem  # noqa: E402 - see above
from thespian.system.utilis import thesplog_control  # noqa: E402 - as above


class Player(Actor):  # type: ignore[misc] # Thespian has no types
    """Plays a message to and fro with its partner and notes how long each took."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802 - Thespian's name
        match message:
            case ("ping", sent_ns, left, caller):
                self._note(time.monotonic_ns() - sent_ns)
                if left:
                    self.send(sender, ("ping", time.monotonic_ns(), left - 1, caller))
                else:
                    self.send(caller, "over")
            case ("start", partner, hops):
                self.send(partner, ("ping", time.monotonic_ns(), hops, sender))
            case "samples":
                self.send(sender, getattr(self, "_samples", []))
            case _:
                pass  # Thespian's own

    def _note(self, ns: int) -> None:
        if not hasattr(self, "_samples"):
            self._samples: list[int] = []
        self._samples.append(ns)


def run(counts: Counts) -> dict[str, Any]:
    thesplog_control(logging.CRITICAL + 1, False, 0)  # it would write to /tmp/thespian.log
    system = ActorSystem("multiprocTCPBase", {"Admin Port": _free_port()})
    try:
        ping, pong = system.createActor(Player), system.createActor(Player)
        over = system.ask(ping, ("start", pong, counts.thespian_hops), timedelta(seconds=60))
        assert over == "over", "Thespian's hops did not end"
        samples: list[int] = []
        for player in (ping, pong):
            samples += system.ask(player, "samples", timedelta(seconds=10))
    finally:
        system.shutdown()
    return {"thespian_hop_p50_us": percentile(samples, 0.5) / 1e3}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
