"""Fixtures every test may use. No test touches the user's own folders."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kohya_presets.dataset.tokens import Tokenizer
from kohya_presets.errors import UserError
from kohya_presets.presets import catalogue
from kohya_presets.presets.catalogue import Catalogue
from tests import missing
from wrapper.checkouts import checkout
from wrapper.checkouts.checkout import Checkout
from wrapper.data.reading import vocabulary
from wrapper.environments import environment
from wrapper.system import users

ROOT = Path(__file__).parents[1]
# Checkouts and environments of the real sd-scripts are kept here from one run to the next.
UPSTREAM_HOME = Path(os.environ.get("KOHYA_PRESETS_TEST_HOME", ROOT / "vendor"))
# One test a core: torch's threads, in ours or in a trainer's process, would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-release", action="store_true", help="also what takes an hour: see `make upstream`"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked for `--every-release` without it."""
    if not config.getoption("--every-release"):
        for item in items:
            if item.get_closest_marker("every_release"):
                item.add_marker(pytest.mark.skip("only with --every-release (make upstream)"))


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


def let_go() -> None:
    """Hold no checkout any more, as if the process that prepared a run in it had ended."""
    for number in users._held.values():
        os.close(number)
    users._held.clear()


@pytest.fixture(autouse=True)
def _nothing_held() -> Iterator[None]:
    yield
    let_go()


@pytest.fixture
def shipped() -> Catalogue:
    """Return the catalogue with nothing in it but the shipped presets."""
    return Catalogue((catalogue.SHIPPED,))


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """CLIP's tokenizer; without its vocabulary, the test is skipped."""
    try:
        return vocabulary.tokenizer()
    except UserError as error:
        pytest.skip(f"{error}")


@pytest.fixture(scope="session")
def trainer_python() -> str:
    """Return a Python with torch and accelerate, for the stand-in: our own, with the test extra."""
    for package in ("torch", "accelerate"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install -e '.[test]'")
    return sys.executable


@pytest.fixture
def upstream(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Checkout]:
    """Return a function that gives the real sd-scripts of a release, or skips with the reason.

    Where the test runs them, with a trainer environment too.
    """
    monkeypatch.setenv("KOHYA_PRESETS_HOME", str(UPSTREAM_HOME))

    def get(release: str) -> Checkout:
        with missing.skipped_without(missing.SD_SCRIPTS):
            made = checkout.add(release, on_step=print)
        if request.node.get_closest_marker("trainer"):
            with missing.skipped_without(f"the trainer environment of {release}"):
                environment.make(made, on_line=print)
        return made

    return get
