"""The wheel, built and installed as a user has it: nothing of the clone is in reach."""

from __future__ import annotations

import re
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from wrapper.system import proc

ROOT = Path(__file__).parents[1]
FOLDERS = ("kohya_presets", "patches", "wrapper")
ALONE = {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
pytestmark = pytest.mark.xdist_group("installed")  # one worker: the wheel is built once
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries=1", "--timeout=10")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, or skip where hatchling, which builds it, is out of reach."""
    out = tmp_path_factory.mktemp("dist")
    done = proc.run([*PIP, "wheel", "--no-deps", "--wheel-dir", out, ROOT], env=ALONE, check=False)
    if done.returncode and "hatchling" in done.stderr and "No matching distribution" in done.stderr:
        pytest.skip("hatchling cannot be downloaded here, and the wheel is built with it")
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return site-packages of a new environment with the wheel, and what it depends on in reach."""
    place = tmp_path_factory.mktemp("venv") / "v"
    venv.create(place, symlinks=sys.platform != "win32")
    found = Path(sysconfig.get_path("purelib", "venv", {"base": str(place)}))
    words = ("--python", place, "install", "--quiet", "--no-deps", "--no-compile", wheel)
    proc.run([*PIP, *words], env=ALONE)
    (found / "dependencies.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return found


@pytest.fixture
def installed(site: Path) -> tuple[Path, Path]:
    """Return the Python of that environment, and its `kohya-presets`."""
    base = {"base": str(site.parents[1 if sys.platform == "win32" else 2])}
    scripts = Path(sysconfig.get_path("scripts", "venv", base))
    suffix = ".exe" if sys.platform == "win32" else ""
    return scripts / f"python{suffix}", scripts / f"kohya-presets{suffix}"


def said(*words: str | Path) -> str:
    """Return what a command prints on stdout; it must succeed, and warn of nothing."""
    done = proc.run(words, env=ALONE)
    assert done.stderr == ""
    return done.stdout


def test_the_wheel_has_every_file_of_the_three_folders_and_no_other(wheel: Path) -> None:
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    here = {
        file.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    placed = {re.sub("^(patches|wrapper)/", r"kohya_presets/_installed/\1/", n) for n in here}
    assert names == placed


def test_site_packages_gets_one_name_of_ours(site: Path) -> None:
    assert [name for name in FOLDERS if (site / name).exists()] == ["kohya_presets"]


def test_the_command_and_the_module_work(installed: tuple[Path, Path]) -> None:
    python, command = installed
    listed = said(command, "list")
    assert "skynet" in listed
    assert said(python, "-m", "kohya_presets", "list") == listed
    assert said(python, "-m", "kohya_presets", "--version") == said(command, "--version")
    assert "--standin" in said(command, "rehearse", "--help")


def test_every_file_of_data_is_found(installed: tuple[Path, Path]) -> None:
    _, command = installed
    assert "[provenance]" in said(command, "show", "skynet", "--provenance")
    assert "fast-lora" in said(command, "patch", "list")
    assert "clip_skip" in said(command, "explain", "clip_skip")
    assert "skynet on v0.9.1" in said(command, "validate", "skynet", "--release", "v0.9.1")


def test_the_stand_in_finds_our_facts(site: Path, installed: tuple[Path, Path]) -> None:
    library = site / "kohya_presets/_installed/wrapper/rehearsal/standin/library"
    code = f"import sys; sys.path[0] = {str(library)!r}; import args_util; print(args_util.FACTS)"
    facts = site / "kohya_presets/sdscripts/facts/options.json"
    assert said(installed[0], "-c", code).strip() == str(facts)


def test_a_stranger_called_wrapper_neither_harms_nor_is_harmed(
    site: Path, installed: tuple[Path, Path], tmp_path: Path
) -> None:
    python, command = installed
    for name in ("wrapper", "patches"):
        stranger = site / name
        stranger.mkdir()
        (stranger / "__init__.py").write_text(f"print('a stranger called {name}')", "utf-8")
    assert "skynet" in said(command, "list")
    assert said(command, "patch", "list").startswith("adacoor")
    assert said(python, "-m", "kohya_presets", "--version").startswith("kohya-presets")
    code = "import kohya_presets, wrapper, patches"
    assert said(python, "-c", code).split("\n")[:2] == [
        "a stranger called wrapper",
        "a stranger called patches",
    ]
