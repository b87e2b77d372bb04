"""What is installed from the wheel runs, as in the container: no checkout, nothing to write to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.harness import ROOT, Krator
from tests.system.ordinary_user import as_user

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

USER = 1001


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([*pip, *options, str(ROOT)], check=True, capture_output=True)
    (built,) = folder.glob("krator-*.whl")
    return built


@pytest.fixture
def installed(krator: Krator, wheel: Path) -> Iterator[Path]:
    """Install the wheel where nothing else of this checkout is; yields the environment."""
    environment = krator.folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    # Its dependencies are the ones that are installed here already, so nothing is downloaded. The
    # editable krator beside them is not found this way: it would take a .pth of its own.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    krator.folder.chmod(0o755)
    yield environment
    krator.close()


def test_wheel_has_both_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.partition("/")[0] for name in names}
    assert {"krator_actors", "supervisors"} == {t for t in tops if not t.endswith(".dist-info")}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "krator_actors").rglob("*.py")}
    assert sources <= set(names)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become user 1001")
def test_installed_wheel_runs_as_an_ordinary_user_on_a_read_only_tree(
    krator: Krator, installed: Path
) -> None:
    krator.data_dir.mkdir(mode=0o700)
    shutil.chown(krator.data_dir, USER, USER)
    user = as_user(USER, krator.folder, read_only=(ROOT, installed))
    command = [*user, str(installed / "bin" / "krator")]
    place = ["--data-dir", str(krator.data_dir)]
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "LANG": "C.UTF-8"}

    run = subprocess.run(
        [*command, "run", "--for", "3", *place],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=environment,
        timeout=120,
    )
    report = subprocess.run(
        [*command, "report", "--json", *place],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=environment,
        timeout=120,
    )

    assert run.returncode == 0, run.stderr + run.stdout
    assert "after 3 s" in run.stdout
    assert set(json.loads(report.stdout)) == {
        "orders",
        "fills",
        "positions",
        "totals",
        "incidents",
    }
    owners = {path.stat().st_uid for path in krator.data_dir.rglob("*")}
    assert owners == {USER}
    touch = [*user, "touch", str(installed / "written")]
    assert subprocess.run(touch, check=False, capture_output=True).returncode != 0


def locked(path: Path) -> set[str]:
    lines = path.read_text().splitlines()
    return {line.split()[0] for line in lines if "==" in line and not line.startswith(" ")}


def test_container_has_what_is_tested() -> None:
    of_the_image = locked(ROOT / "requirements-run.lock")

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {pin.partition("==")[0] for pin in of_the_image}
    wanted = {re.split(r"[^\w-]", text)[0].lower() for text in project["dependencies"]}
    assert of_the_image < locked(ROOT / "requirements.lock")
    assert wanted <= names


def test_dockerfile_copies_nothing_that_is_ignored_or_gone() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = {
        name
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    }
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }

    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
