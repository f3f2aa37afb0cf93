from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kohya_presets.errors import PatchError, UserError
from wrapper.system import locks, proc

HOLD = """\
import sys, time
from pathlib import Path
from wrapper.system import locks
with locks.held(Path(sys.argv[1])):
    print("held", flush=True)
    while Path(sys.argv[2]).exists():
        time.sleep(0.02)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[psutil.Popen]:
    """Start a process that holds the lock `lock` as long as there is the file `hold`."""
    (tmp_path / "hold").touch()
    words = [sys.executable, "-c", HOLD, str(tmp_path / "lock"), str(tmp_path / "hold")]
    with (tmp_path / "said").open("wb") as said:
        process = psutil.Popen(words, stdout=said, env=proc.environ())
    limit = time.monotonic() + 60
    while "held" not in (tmp_path / "said").read_text("utf-8"):
        assert time.monotonic() < limit
        time.sleep(0.02)
    yield process
    (tmp_path / "hold").unlink(missing_ok=True)
    process.wait()


@pytest.mark.parametrize("kind", [UserError, PatchError])
def test_who_holds_a_lock_is_named(
    kind: type[UserError], holder: psutil.Popen, tmp_path: Path
) -> None:
    busy = kind("busy", hint="Wait.")
    said = f"^busy: process {holder.pid} "
    with pytest.raises(kind, match=said) as caught, locks.held(tmp_path / "lock", busy):
        pass
    assert sys.executable in str(caught.value)
    assert caught.value.hint == "Wait."


def test_who_waits_says_so_and_for_whom(holder: psutil.Popen, tmp_path: Path) -> None:
    waiting = [sys.executable, "-c", HOLD, str(tmp_path / "lock"), str(tmp_path / "gone")]
    with (tmp_path / "second").open("wb") as said:
        second = psutil.Popen(waiting, stderr=said, env=proc.environ())
    limit = time.monotonic() + 60
    while f"waiting for process {holder.pid} (`" not in (tmp_path / "second").read_text("utf-8"):
        assert time.monotonic() < limit
        time.sleep(0.02)
    (tmp_path / "hold").unlink()
    assert second.wait() == 0


def test_a_free_lock_is_taken_without_a_word_and_leaves_no_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locks.held(tmp_path / "lock"):
        pass
    assert capsys.readouterr().err == ""
    assert [file.name for file in tmp_path.glob("lock*")] in ([], ["lock"])


def test_a_note_of_a_process_that_is_gone_names_nobody(
    holder: psutil.Popen, tmp_path: Path
) -> None:
    (tmp_path / "lock-holder").write_text(f"{psutil.Process().pid} 12.5", "utf-8")
    busy = UserError("busy")
    with pytest.raises(UserError) as caught, locks.held(tmp_path / "lock", busy):
        pass
    assert str(caught.value) == "busy: another process"
