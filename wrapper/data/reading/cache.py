"""What was measured on pictures, kept for the next time in one SQLite file.

Two processes may use it at once. Losing it costs time only: a damaged one is thrown away, and where
none can be had (a folder that cannot be written, a full disk) all goes on without.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from kohya_presets.dataset.picture import Pixels
from wrapper.system import paths

# Raise it whenever anything in `measure`, `headers`, `tokens` or `alike` gives another answer.
RULES = 1
LAYOUT = 2  # of the tables
MOST = 200_000  # pictures; those that were measured first go first
MOST_FACTS = 1_000_000
BATCH, BATCH_SECONDS = 100, 1.0  # what is lost at most if the power fails
PATIENCE = 30.0  # seconds for another process's commit
AT_ONCE = 500  # paths in one question

Stamp = tuple[int, int]  # bytes, mtime_ns
_Act = Callable[[sqlite3.Connection], object]


def file() -> Path:
    """Return where the cache is kept."""
    return paths.cache() / "pictures.sqlite"


class Cache:
    """Measured pictures by absolute path, size and time; a context manager that saves on leaving.

    It never raises for want of a disk: it forgets instead.
    """

    def __init__(self, where: Path | None = None) -> None:
        self.where = file() if where is None else where
        self._waiting = 0
        self._saved = time.monotonic()
        self._base = self._opened()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def known(self, stamps: Mapping[Path, Stamp]) -> Iterator[Pixels]:
        """Yield what is known of those files whose size and time are still the same."""
        by_path = {str(path.absolute()): path for path in stamps}
        names = list(by_path)
        for start in range(0, len(names), AT_ONCE):
            for name, size, time_ns, data in self._asked(names[start : start + AT_ONCE]):
                path = by_path[name]
                if stamps[path] == (size, time_ns) and (found := _read(path, data)):
                    yield found

    def keep(self, found: Pixels, stamp: Stamp) -> None:
        """Keep what was measured; it is on disk after a batch, or on `save`."""
        row = (str(found.file.absolute()), *stamp, json.dumps(found.as_dict()))
        self._do(lambda base: base.execute("REPLACE INTO pixels VALUES (?, ?, ?, ?)", row))
        self._waiting += 1
        if self._waiting >= BATCH or time.monotonic() - self._saved > BATCH_SECONDS:
            self.save()

    def recall(self, keys: Iterable[str]) -> dict[str, str]:
        """Return what was remembered under these keys."""
        wanted, found = list(keys), dict[str, str]()
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            question = f"SELECT key, data FROM facts WHERE key IN ({','.join('?' * len(some))})"
            self._do(functools.partial(_into, found, question, some))
        return found

    def remember(self, facts: Mapping[str, str]) -> None:
        """Keep texts under keys of their own, at once on disk."""
        rows = list(facts.items())
        self._do(lambda base: base.executemany("REPLACE INTO facts VALUES (?, ?)", rows))
        self.save()

    def save(self) -> None:
        """Write what is kept to the disk."""
        self._do(lambda base: base.commit())
        self._waiting, self._saved = 0, time.monotonic()

    def close(self) -> None:
        """Save, and forget the oldest where there are too many."""
        self.save()
        self._do(_trimmed)
        if self._base is not None:
            with contextlib.suppress(sqlite3.Error):
                self._base.close()
        self._base = None

    def _asked(self, names: list[str]) -> list[tuple[str, int, int, str]]:
        marks = ",".join("?" * len(names))
        question = f"SELECT path, bytes, mtime_ns, data FROM pixels WHERE path IN ({marks})"
        found: list[tuple[str, int, int, str]] = []
        self._do(lambda base: found.extend(base.execute(question, names)))
        return found

    def _do(self, act: _Act) -> None:
        """Do it; with a damaged file begin a new one, with any other trouble go without."""
        if self._base is None:
            return
        try:
            act(self._base)
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._base.close()
            self._base = None
            if _damaged(error):
                _thrown_away(self.where)
                self._base = self._opened()

    def _opened(self) -> sqlite3.Connection | None:
        for _ in range(2):
            try:
                self.where.parent.mkdir(parents=True, exist_ok=True)
                return _connected(self.where)
            except sqlite3.Error as error:
                if not _damaged(error):
                    return None
                _thrown_away(self.where)
            except OSError:
                return None
        return None


def _connected(where: Path) -> sqlite3.Connection:
    base = sqlite3.connect(where, timeout=PATIENCE)
    try:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = NORMAL")  # a power cut loses a batch, never the file
        version = f"{LAYOUT * 1000 + RULES}"
        base.execute("BEGIN IMMEDIATE")
        if str(base.execute("PRAGMA user_version").fetchone()[0]) != version:
            base.execute("DROP TABLE IF EXISTS pixels")
            base.execute(
                "CREATE TABLE pixels"
                " (path TEXT PRIMARY KEY, bytes INTEGER, mtime_ns INTEGER, data TEXT)"
            )
            base.execute("DROP TABLE IF EXISTS facts")
            base.execute("CREATE TABLE facts (key TEXT PRIMARY KEY, data TEXT)")
            base.execute(f"PRAGMA user_version = {version}")
        base.commit()
    except sqlite3.Error:
        base.close()
        raise
    return base


def _trimmed(base: sqlite3.Connection) -> None:
    for table, most in (("pixels", MOST), ("facts", MOST_FACTS)):
        (count,) = base.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
        if count > most:
            first = f"SELECT rowid FROM {table} ORDER BY rowid LIMIT ?"
            base.execute(f"DELETE FROM {table} WHERE rowid IN ({first})", (count - most,))
            base.commit()


def _into(found: dict[str, str], question: str, keys: list[str], base: sqlite3.Connection) -> None:
    found.update(base.execute(question, keys))


def _damaged(error: sqlite3.Error) -> bool:
    """Return whether the file itself is at fault: not a lock, a disk or permissions."""
    return type(error) is sqlite3.DatabaseError or "no such" in str(error)


def _thrown_away(where: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):  # as on Windows, while another has it open
            where.with_name(where.name + ending).unlink()


def _read(path: Path, data: str) -> Pixels | None:
    try:
        return Pixels(path, **json.loads(data))
    except (ValueError, TypeError):
        return None


def stamps(files: Iterable[Path]) -> dict[Path, Stamp]:
    """Return size and time of each file; (-1, -1) for one that is not there."""
    found: dict[Path, Stamp] = {}
    for path in files:
        try:
            stat = path.stat()
            found[path] = stat.st_size, stat.st_mtime_ns
        except OSError:
            found[path] = -1, -1
    return found
