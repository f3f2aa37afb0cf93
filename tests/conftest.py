"""Fixtures every test may use. No test touches the user's own folders."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from wrapper.checkouts import checkout
from wrapper.checkouts.acquire import Unreachable
from wrapper.checkouts.checkout import Checkout

ROOT = Path(__file__).parents[1]
# Checkouts and environments of the real sd-scripts are kept here from one run to the next.
UPSTREAM_HOME = Path(os.environ.get("KOHYA_PRESETS_TEST_HOME", ROOT / "vendor"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-release", action="store_true", help="rehearse on a release of every generation"
    )


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own, and a folder of its own to stand in."""
    place = tmp_path / "home"
    monkeypatch.setenv("KOHYA_PRESETS_HOME", str(place))
    monkeypatch.delenv("SD_SCRIPTS_REMOTE", raising=False)
    standing = tmp_path / "here"
    standing.mkdir()
    monkeypatch.chdir(standing)
    return place


@pytest.fixture
def shipped() -> Catalogue:
    """Return the catalogue with nothing in it but the shipped presets."""
    return Catalogue((catalogue.SHIPPED,))


@pytest.fixture(scope="session")
def trainer_python() -> str:
    """Return a Python with torch and accelerate, for the stand-in: our own, with the test extra."""
    for package in ("torch", "accelerate"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install -e '.[test]'")
    return sys.executable


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Checkout]:
    """Return a function that gives the real sd-scripts of a release, or skips with the reason."""
    monkeypatch.setenv("KOHYA_PRESETS_HOME", str(UPSTREAM_HOME))

    def get(release: str) -> Checkout:
        try:
            return checkout.add(release, on_step=print)
        except Unreachable as error:
            pytest.skip(f"sd-scripts cannot be had: {error}")

    return get
