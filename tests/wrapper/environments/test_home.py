"""`home show` tells what takes space, `home clean` deletes what was asked for and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from kohya_presets.errors import UserError
from tests.wrapper import lookalike
from tests.wrapper.cli.test_cli import run
from wrapper.checkouts import checkout
from wrapper.environments import home as homes

Start = Callable[..., None]
PIPE = -1  # subprocess.PIPE


@pytest.fixture
def full(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home with some of everything in it."""
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    made = checkout.add(None, source=str(lookalike.write(tmp_path / "source")), on_step=print)
    made.folder.parent.rename(home / "checkouts" / "v0.9.1")
    sizes = {
        "checkouts/v0.9.1/environment/lib/torch.so": 3_000_000_000,
        "environments/v0.8.7/bin/python": 5_000_000,
        "stand-in/0123456789ab/sdxl_train.py": 100,
        "hf/hub/models--me--xl/blobs/abc": 7_000_000_000,
        "presets/mine.toml": 10,
        "patches/mine/patch.toml": 10,
        "runs/korra/run.toml": 10,
        "notes.txt": 10,
    }
    for name, size in sizes.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        with (home / name).open("wb") as file:
            file.truncate(size)  # of which the disk keeps nothing
    return home


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a process and waits until it is ready."""
    started: list[psutil.Popen] = []

    def go(code: str, *words: str | Path) -> None:
        code += "; import time; print('ready', flush=True); time.sleep(60)"
        argv = [sys.executable, "-c", code, *map(str, words)]
        started.append(psutil.Popen(argv, stdout=PIPE, text=True))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "ready\n"

    yield go
    for process in started:
        process.kill()
        process.communicate()


def left(home: Path) -> set[str]:
    return {item.name if item.kind == "yours" else item.kind for item in homes.items()}


def test_everything_is_listed_with_its_size(full: Path) -> None:
    done = run("home", "show")
    rows = [line.split()[:4] for line in done.stdout.splitlines()]
    assert ["environments", "3.0", "GB", "v0.9.1"] in rows
    assert ["environments", "5.0", "MB", "v0.8.7"] in rows
    assert ["downloads", "7.0", "GB", "me/xl"] in rows
    assert rows[-1][:3] == ["total", "10.0", "GB"]
    yours = {"presets", "patches", "runs", "notes.txt"}
    assert yours == {row[3] for row in rows if row[0] == "yours"}
    by_kind = {item.kind: item.size for item in homes.items() if item.name == "v0.9.1"}
    assert by_kind["environments"] == 3_000_000_000
    assert by_kind["checkouts"] < 1_000_000  # without it


def test_a_home_that_is_not_there_is_empty(home: Path) -> None:
    assert homes.items() == []
    assert "nothing to delete" in run("home", "clean", "environments").stderr
    assert not home.exists()


YOURS = {"presets", "patches", "runs", "notes.txt"}


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        (("environments", "v0.8.7"), {"environments/v0.8.7"}),
        (("environments", "v0.9.1"), {"checkouts/v0.9.1/environment"}),
        (("environments",), {"environments/v0.8.7", "checkouts/v0.9.1/environment"}),
        (("checkouts", "v0.9.1"), {"checkouts/v0.9.1"}),
        (("downloads", "me/xl"), {"hf/hub/models--me--xl"}),
        (("stand-ins",), {"stand-in/0123456789ab"}),
    ],
)
def test_what_is_asked_for_is_deleted_and_nothing_else(
    words: tuple[str, ...], gone: set[str], full: Path
) -> None:
    def files() -> set[Path]:
        return {f for f in full.rglob("*") if f.is_file() and f.suffix != ".lock"}

    before = files()
    would = run("home", "clean", *words, "--dry-run")
    assert files() == before
    assert would.stdout == ""
    done = run("home", "clean", *words)
    assert done.exit_code == 0
    assert {Path(line.removeprefix("deleted ")) for line in done.stdout.splitlines()} >= {
        full / name for name in gone
    }
    assert files() == {f for f in before if not any(full / g in f.parents for g in gone)}
    said = done.stderr.splitlines()
    assert all(any(f"deleting {full / name} (" in line for line in said) for name in gone)
    assert said[-1].endswith(" freed")


@pytest.mark.parametrize("kind", ["presets", "patches", "runs", "yours"])
def test_what_is_the_users_cannot_be_asked_for(kind: str, full: Path) -> None:
    assert run("home", "clean", kind).exit_code == 2
    assert left(full) >= YOURS


def test_a_name_that_is_not_there(full: Path) -> None:
    with pytest.raises(UserError, match=r"nothing called 'v0\.9\.2' among the environments"):
        run("home", "clean", "environments", "v0.9.2")


def test_a_checkout_whose_files_were_edited_stays_unless_told_not_to(full: Path) -> None:
    script = full / "checkouts" / "v0.9.1" / "sd-scripts" / "sdxl_train.py"
    script.write_text(script.read_text("utf-8") + "# mine\n", "utf-8")
    with pytest.raises(UserError, match=r"were edited: sdxl_train\.py"):
        run("home", "clean", "checkouts")
    assert (full / "checkouts/v0.9.1/environment").exists()
    assert run("home", "clean", "checkouts", "--force").exit_code == 0
    assert not script.exists()


@pytest.mark.parametrize("kind", ["environments", "checkouts"])
def test_what_a_process_uses_stays_and_so_does_all_else(
    kind: str, full: Path, start: Start
) -> None:
    start("pass", full / "checkouts" / "v0.9.1" / "environment" / "bin" / "python")
    with pytest.raises(UserError, match="is in use by the process"):
        run("home", "clean", kind)
    assert {"environments", "checkouts"} <= left(full)


def test_what_a_run_needs_between_two_stages_stays(full: Path, start: Start) -> None:
    """Then no trainer runs: kohya-presets holds the run's folder, and its record says the rest."""
    folder = full / "runs" / "korra"
    python = full / "environments" / "v0.8.7" / "bin" / "python"
    (folder / "run.toml").write_text(f"[stage.extract]\nargv = ['{python}']\n", "utf-8")
    hold = "import sys, filelock; lock = filelock.FileLock(sys.argv[2]); lock.acquire()"
    start(hold, "kohya-presets", folder / ".lock")
    with pytest.raises(UserError, match="is in use by the process"):
        run("home", "clean", "environments", "v0.8.7")
    assert run("home", "clean", "environments", "v0.9.1").exit_code == 0


@pytest.mark.parametrize("lock", ["checkouts/v0.9.1/environment.lock", "checkouts/.lock"])
def test_what_is_being_created_stays(lock: str, full: Path) -> None:
    with FileLock(full / lock), pytest.raises(UserError, match="is creating files"):
        run("home", "clean", "checkouts")
    assert (full / "checkouts/v0.9.1/environment/lib/torch.so").exists()
