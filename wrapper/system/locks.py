"""One process at a time: a lock is a file that the system frees when its holder ends."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from kohya_presets import secrets
from kohya_presets.errors import UserError
from wrapper.system import proc

LONGEST = 120  # letters of a command that is shown


@contextmanager
def held(file: Path, busy: UserError | None = None, *, seconds: float = 0) -> Iterator[None]:
    """Hold the lock `file`, with `busy` after waiting no more than `seconds`, else however long.

    Whoever waits says so on stderr, and for which process.

    Raises:
        UserError: `busy`, where another process still holds it; it names that process.
    """
    lock = FileLock(file, mode=0o666)
    try:
        _acquire(lock, file, -1 if busy is None else seconds)
    except Timeout:
        assert busy is not None
        raise type(busy)(f"{busy}: {_holder(file)}", hint=busy.hint) from None
    try:
        _sign(file)
        yield
    finally:
        with contextlib.suppress(OSError):
            _signature(file).unlink()
        lock.release()


def described(process: psutil.Process) -> str:
    """Return "process 123 (`command`)", as a person looks for it in a list of processes."""
    try:
        command = secrets.masked(_without_webhook(proc.command_line(process.cmdline())))
    except (psutil.Error, OSError):
        command = ""
    shown = command if len(command) <= LONGEST else f"{command[:LONGEST]}..."
    return f"process {process.pid} (`{shown}`)" if shown else f"process {process.pid}"


def _without_webhook(command: str) -> str:
    """Return a command of ours without the address of --notify, which is a secret as a whole."""
    return re.sub(r"(--notify[ =])('[^']*'|\S+)", rf"\1{secrets.MASK}", command)


def _acquire(lock: FileLock, file: Path, seconds: float) -> None:
    """Take the lock now, or wait for it `seconds`: -1 is for ever."""
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not seconds:
            raise
        sys.stderr.write(f"waiting for {_holder(file)} to finish\n")
        sys.stderr.flush()
        lock.acquire(timeout=seconds)


def _signature(file: Path) -> Path:
    # Beside the lock: a file that is locked cannot be read on Windows.
    return file.with_name(f"{file.name}-holder")


def _sign(file: Path) -> None:
    """Write down who holds the lock; its start tells it from a later process of its number."""
    us = psutil.Process()
    with contextlib.suppress(OSError):  # the lock counts, not the note
        _signature(file).write_text(f"{us.pid} {us.create_time()}", encoding="utf-8")


def _holder(file: Path) -> str:
    """Return who holds the lock, as far as can be told."""
    try:
        number, started = _signature(file).read_text(encoding="utf-8").split()
        process = psutil.Process(int(number))
        if abs(process.create_time() - float(started)) < 1:
            return described(process)
    except (OSError, ValueError, psutil.Error):
        pass
    return "another process"
