"""The door to long processes: start one, follow its log, stop it with everything it started.

The child writes straight into its log file and we read that file, so no pipe ties it to us: when
this program is killed, hours of paid training continue, and `follow` attaches to them again.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import psutil

from kohya_presets.errors import UserError
from wrapper.system import family, proc

INTERRUPT_GRACE_SECONDS = 30.0  # what sd-scripts gets to finish writing a checkpoint
SAVE_GRACE_SECONDS = 600.0  # and to finish a step and write a state: tens of GB on a slow disk
TERMINATE_GRACE_SECONDS = 5.0
POLL_SECONDS = 0.1
TAIL_LINES = 80
WINDOWS = os.name == "nt"
RUN_MARK = "KOHYA_PRESETS_RUN"  # set in every child's environment: whose process it is

OnLine = Callable[[str], None]
Processes = Callable[[], list[psutil.Process]]
OnTick = Callable[[Processes], None]  # several times a second, with how to list the processes


@dataclass(frozen=True)
class Launch:
    """Everything needed to start a process; printable, storable, comparable."""

    argv: tuple[str, ...]
    cwd: Path
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)  # on top of os.environ


@dataclass(frozen=True)
class Outcome:
    """How a process ended; `returncode` is None for one that was not our child."""

    returncode: int | None
    seconds: float
    tail: tuple[str, ...]


def run(
    launch: Launch,
    *,
    on_line: OnLine,
    on_tick: OnTick | None = None,
    saves: bool = False,
    stdin: int = subprocess.DEVNULL,
) -> Outcome:
    """Return how the process ended, with every line in the log and passed to `on_line`.

    A bar redrawn with carriage returns arrives as one line for each state. Ctrl-C stops the whole
    process group: first an interrupt, then terminate, then kill. A process that `saves` its state
    when it is told to terminate gets the time for that; a second Ctrl-C kills it.
    """
    started = time.monotonic()
    launch.log.parent.mkdir(parents=True, exist_ok=True)
    offset = launch.log.stat().st_size if launch.log.exists() else 0
    child = _popen(launch, stdin)
    try:
        alive = _ticking(_living(child, saves), lambda: family.of(child.pid), on_tick)
        tail = _follow(launch.log, offset, alive, on_line)
    except BaseException:
        left = [psutil.Process(child.pid)] if child.poll() is None else []
        left += family.members(child.pid) if saves else []
        with _heard(launch.log, on_line if saves else None):
            stop(left, group=child.pid, saves=saves)
        child.wait()
        raise
    # A trainer that died may leave data-loader workers behind, and they hold GPU memory.
    _kill_group(child.pid)
    return Outcome(child.returncode, time.monotonic() - started, tail)


def follow(
    run_dir: Path,
    log: Path,
    *,
    on_line: OnLine,
    on_tick: OnTick | None = None,
    saves: bool = False,
) -> Outcome:
    """Return how the processes still running for `run_dir` ended; Ctrl-C stops them as in `run`."""
    started = time.monotonic()
    offset = log.stat().st_size if log.exists() else 0
    try:
        alive = _ticking(lambda: bool(at_work(run_dir)), lambda: at_work(run_dir), on_tick)
        tail = _follow(log, offset, alive, on_line)
    except BaseException:
        with _heard(log, on_line if saves else None):
            stop(at_work(run_dir), saves=saves)
        raise
    return Outcome(None, time.monotonic() - started, tail)


def watch(run_dir: Path, log: Path, *, on_line: OnLine) -> None:
    """Pass on what the processes for `run_dir` write from now on, and never stop them."""
    offset = log.stat().st_size if log.exists() else 0
    _follow(log, offset, lambda: bool(at_work(run_dir)), on_line)


def at_work(run_dir: Path) -> list[psutil.Process]:
    """Return the processes that an earlier call started for `run_dir` and that still run."""
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _marked(p, run_dir)]


def stop(processes: list[psutil.Process], *, group: int | None = None, saves: bool = False) -> None:
    """End the processes and all they started: ask, then insist, then kill."""
    kin = {*processes, *(each for p in processes for each in family.children(p))}
    leaders = family.leaders(processes)

    def ask_to_end(process: psutil.Process) -> None:
        if saves and not WINDOWS:  # where it would end at once: there, Ctrl-Break is the word
            process.terminate()
        else:
            _interrupt(process, leaders)

    steps: tuple[tuple[Callable[[psutil.Process], None], float], ...] = (
        (ask_to_end, SAVE_GRACE_SECONDS if saves else INTERRUPT_GRACE_SECONDS),
        (psutil.Process.terminate, TERMINATE_GRACE_SECONDS),
        (psutil.Process.kill, TERMINATE_GRACE_SECONDS),
    )
    try:
        for ask, grace in steps:
            _each(kin, ask)
            _each(kin, lambda process: process.resume())  # one that is paused hears nothing
            _, alive = psutil.wait_procs(kin, timeout=grace)
            kin = set(alive)
            if not kin:
                break
    except KeyboardInterrupt:  # a second Ctrl-C: no more patience
        _each(kin, psutil.Process.kill)
    if group is not None:
        _kill_group(group)


@contextlib.contextmanager
def _heard(log: Path, on_line: OnLine | None) -> Iterator[None]:
    """Pass on what the log gets meanwhile: that a state is saved, and where."""
    offset = log.stat().st_size if log.exists() else 0
    yield
    if on_line and log.exists():
        _follow(log, offset, lambda: False, on_line)


def _popen(launch: Launch, stdin: int) -> subprocess.Popen[bytes]:
    # In a group of its own: our Ctrl-C is not the child's, `stop` passes it on in its order.
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) if WINDOWS else 0
    with launch.log.open("ab") as log:
        try:
            return subprocess.Popen(
                launch.argv,
                cwd=launch.cwd,
                env={**proc.environ(), **launch.env},
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=not WINDOWS,
                creationflags=flags,
            )
        except OSError as error:
            reason = f"{launch.cwd} does not exist" if not launch.cwd.is_dir() else error.strerror
            raise UserError(f"cannot start {launch.argv[0]}: {reason}") from None


def _follow(log: Path, offset: int, alive: Callable[[], bool], on_line: OnLine) -> tuple[str, ...]:
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with log.open("rb") as written:
        written.seek(offset)
        for line in _lines(written, alive):
            tail.append(line)
            on_line(line)
    return tuple(tail)


def _living(child: subprocess.Popen[bytes], saves: bool) -> Callable[[], bool]:
    """Return what says whether a child lives, or what it has started still saves its state.

    A machine that is taken back tells all processes to terminate. accelerate's launcher ends at
    once then, and the trainer that it has started does not.
    """
    until: list[float] = []

    def lives() -> bool:
        if child.poll() is None:
            return True
        killed = child.returncode < 0
        left = set(family.members(child.pid)) if saves and killed else set()
        if left and not until:
            until.append(time.monotonic() + SAVE_GRACE_SECONDS)
            for ask in (psutil.Process.terminate, psutil.Process.resume):
                _each(left, ask)  # the signal may have been for the launcher alone
        return bool(left) and time.monotonic() < until[0]

    return lives


def _ticking(
    alive: Callable[[], bool], processes: Processes, on_tick: OnTick | None
) -> Callable[[], bool]:
    """Return `alive`, which also tells the time: it is asked several times a second."""

    def asked() -> bool:
        lives = alive()
        if lives and on_tick is not None:
            on_tick(processes)
        return lives

    return asked


def _lines(written: BinaryIO, alive: Callable[[], bool]) -> Iterator[str]:
    # Universal newlines turn a bar's \r into line ends, so progress arrives as lines too.
    utf8 = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
    rest, more_to_come = "", True
    while more_to_come:
        more_to_come = alive()  # asked before reading: what is written last must still be read
        chunk = written.read()
        *whole, rest = (rest + decoder.decode(chunk, final=not more_to_come)).split("\n")
        yield from whole
        if more_to_come and not chunk:
            time.sleep(POLL_SECONDS)
    if rest:
        yield rest


def _marked(process: psutil.Process, run_dir: Path) -> bool:
    try:
        return (
            process.environ().get(RUN_MARK) == str(run_dir)
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.Error, OSError):
        return False  # not ours to read, so not ours


def _each(processes: set[psutil.Process], ask: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        # Windows: also an OSError, for a process of another console.
        with contextlib.suppress(psutil.Error, OSError):
            ask(process)


def _interrupt(process: psutil.Process, leaders: set[int]) -> None:
    """Ask a process to end, as Ctrl-C does.

    On Windows a group is asked, by the number of its leader; with another number the console
    would ask every process in it, us included.
    """
    if not WINDOWS:
        process.send_signal(signal.SIGINT)
    elif process.pid in leaders:
        process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))


def _kill_group(leader: int) -> None:
    if not WINDOWS:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
