from __future__ import annotations

from pathlib import Path

import pytest

from kohya_presets.training.settings import Settings
from wrapper.watching import kernel
from wrapper.watching.findings import Stop
from wrapper.watching.kernel import Counts, Limit, Lowest
from wrapper.watching.situation import Situation

AT = Situation(Settings({"train": {}, "dataset": {}}), run=Path("korra"))


def machine(root: Path, *, vmstat: int = 0, own: int | None = None) -> Path:
    """Write what a kernel tells of a machine whose processes run in a control group."""
    group = root / "sys/fs/cgroup/job"
    group.mkdir(parents=True, exist_ok=True)
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/vmstat").write_text(f"nr_free_pages 1234\noom_kill {vmstat}\n", "utf-8")
    (root / "proc/self/cgroup").write_text("0::/job\n", "utf-8")
    if own is not None:
        (group / "memory.events").write_text(f"low 0\noom 1\noom_kill {own}\n", "utf-8")
    return root


def killed(code: int | None, *lines: str, rose: bool = False) -> Stop | None:
    after = Counts(1, None) if rose else Counts(0, None)
    return kernel.stop(code, lines, AT, before=Counts(0, None), after=after, lowest="0.2 GB free")


def test_both_counters_are_read(tmp_path: Path) -> None:
    assert kernel.counts(machine(tmp_path, vmstat=3, own=2)) == (3, 2)


def test_the_counter_of_older_control_groups_is_read(tmp_path: Path) -> None:
    machine(tmp_path)
    (tmp_path / "proc/self/cgroup").write_text("9:name=systemd:/\n4:memory:/job/a\n0::/\n", "utf-8")
    group = tmp_path / "sys/fs/cgroup/memory/job/a"
    group.mkdir(parents=True)
    (group / "memory.oom_control").write_text("under_oom 0\noom_kill 4\n", "utf-8")
    assert kernel.counts(tmp_path) == (0, 4)


def test_what_is_not_there_is_not_known(tmp_path: Path) -> None:
    assert kernel.counts(tmp_path) == (None, None)
    assert not Counts(None, None).rose(Counts(0, 0))
    assert not Counts(1, 1).rose(Counts(None, None))


@pytest.mark.parametrize(("now", "rose"), [((0, 0), False), ((1, 0), True), ((0, 1), True)])
def test_one_counter_that_rose_is_enough(now: tuple[int, int], rose: bool) -> None:
    assert Counts(*now).rose(Counts(0, 0)) is rose


def test_only_what_was_measured_is_said_to_be_the_memory_killer() -> None:
    stop = killed(-9, rose=True)
    assert stop is not None
    assert stop.code == "killed-memory"
    assert "killed by the kernel's memory killer" in stop.what
    stop = killed(-9)
    assert stop is not None
    assert (stop.code, stop.what) == ("killed", "killed (signal 9)")
    assert stop.cause.startswith("most often the machine ran out of main memory")
    assert "0.2 GB free" in stop.cause
    assert "--set train.max_data_loader_n_workers=1" in stop.hint


@pytest.mark.parametrize(
    "words",
    [
        "subprocess.CalledProcessError: Command '['python']' died with <Signals.SIGKILL: 9>.",
        "  exitcode  : -9 (pid: 4171)",
        "RuntimeError: DataLoader worker (pid 4171) is killed by signal: Killed.",
        "Killed",
    ],
)
def test_the_launcher_says_it_of_its_child(words: str) -> None:
    assert getattr(killed(1, "steps: ...", words), "code", None) == "killed"


def test_another_end_is_none() -> None:
    assert killed(1, "ValueError: something new", rose=True) is None
    assert killed(0) is None
    assert killed(1, "the pool restarts Killed processes") is None


def test_the_lowest_memory_is_told() -> None:
    lowest = Lowest()
    assert str(lowest) == ""
    lowest.look()
    assert " GB of " in str(lowest)


def test_memory_that_holds_files_is_free_in_a_container(tmp_path: Path) -> None:
    group = machine(tmp_path) / "sys/fs/cgroup/job"
    assert kernel.limit(tmp_path) is None
    (group / "memory.max").write_text("1000\n", "utf-8")
    (group / "memory.current").write_text("990\n", "utf-8")
    (group / "memory.stat").write_text("anon 300\ninactive_file 600\n", "utf-8")
    assert kernel.limit(tmp_path) == Limit(1000, 610)


def test_older_control_groups_have_a_limit_too(tmp_path: Path) -> None:
    machine(tmp_path)
    (tmp_path / "proc/self/cgroup").write_text("9:memory:/job\n", "utf-8")
    group = tmp_path / "sys/fs/cgroup/memory/job"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("1000\n", "utf-8")
    (group / "memory.usage_in_bytes").write_text("400\n", "utf-8")
    assert kernel.limit(tmp_path) == Limit(1000, 600)
