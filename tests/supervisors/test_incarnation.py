"""One process of a child that could not even be forked, and the picture of a tree at rest."""

from __future__ import annotations

from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from trial_house import supervisor, worker

from supervisors.incarnation import Incarnation
from supervisors.launch import Launch, Settings
from supervisors.picture import stopped_tree
from supervisors.process import open_descriptors


def no_fork(_launch: Launch) -> BaseProcess:
    raise OSError("Resource temporarily unavailable")


def test_child_that_cannot_be_forked_leaves_no_descriptor(tmp_path: Path) -> None:
    settings = Settings(
        runtime=tmp_path, state_dir=tmp_path, crash_dir=tmp_path, marker_fd=0, output_fd=2
    )
    before = open_descriptors()

    with pytest.raises(OSError, match="temporarily unavailable"):
        Incarnation(worker("a"), settings, [], no_fork)

    assert open_descriptors() == before


def test_tree_at_rest_shows_every_name_as_stopped() -> None:
    tree = stopped_tree(supervisor("root", worker("a"), supervisor("inner", worker("b"))))

    assert [node.name for node in tree.workers()] == ["a", "b"]
    assert {tree.state, *(node.state for node in tree.workers())} == {"stopped"}
    inner = tree.find("inner")
    assert inner is not None
    assert inner.type == "supervisor"
    assert tree.find("nobody") is None
