"""The start script, run here as on a rented machine: an empty home, few variables, odd names."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from wrapper.renting import exported
from wrapper.system import proc

ROOT = Path(__file__).parents[3]


@dataclass
class Machine:
    """A machine that is rented: its folders are below `around`, and can be lost."""

    around: Path
    pack: Path
    python: str
    bucket: Path | None = None
    more: dict[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.around / "work ü"

    @property
    def run(self) -> Path:
        return self.work / "runs" / "rehearsal-lion"

    @property
    def said(self) -> str:
        return (self.around / "said.txt").read_text("utf-8")

    def start(self) -> psutil.Popen:
        """Start the script, with nothing of this machine's variables but where pip looks."""
        (self.around / "empty home").mkdir(exist_ok=True)
        script = self.around / "start.sh"
        script.write_text(exported.start_script(), "utf-8")
        pip = {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
        variables = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.around / "empty home"),
            "KP_WORK": str(self.work),
            "KP_APT": "no",
            "KP_REHEARSE": "yes",
            "KP_STANDIN": "yes",
            "KP_PYTHON": self.python,
            "OMP_NUM_THREADS": "1",
            **({"KP_BUCKET": str(self.bucket), "KP_EVERY": "1"} if self.bucket else {}),
            **pip,
            **self.more,
        }
        with (self.around / "said.txt").open("ab") as said:
            return psutil.Popen(
                ["sh", script, self.pack],
                env=variables,
                cwd=self.around,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def with_tool(self) -> Machine:
        """Put this clone in the place of the program that is installed: that takes a minute."""
        tool = self.work / "tool" / "bin"
        tool.mkdir(parents=True)
        for name, words in (("python", ""), ("kohya-presets", "-m kohya_presets ")):
            file = tool / name
            lines = f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" {words}"$@"\n'
            file.write_text(lines, "utf-8")
            file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return self

    def checksum(self) -> str:
        """Return what the script compares the installed program with."""
        wheel = self.around / "wheel"
        with zipfile.ZipFile(self.pack) as archive:
            name = next(name for name in archive.namelist() if name.startswith("tool/"))
            wheel.write_bytes(archive.read(name))
        found = proc.run(["sh", "-c", 'cksum <"$1"', "sh", wheel]).stdout.strip()
        wheel.unlink()
        return found

    def mark(self, checksum: str) -> None:
        """Say that the program of a pack is installed."""
        (self.work / "tool" / "installed").write_text(checksum, "utf-8")

    def lose(self) -> None:
        """Lose the machine's disk."""
        shutil.rmtree(self.work)


def wait_for(file: Path, text: str, process: psutil.Popen, seconds: float = 240) -> None:
    """Wait until a file has a text."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if file.is_file() and text in file.read_text("utf-8", "replace"):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"{file} never had {text!r}")


def kill_all(process: psutil.Popen) -> None:
    """Kill a script and all that it started, as losing the machine does."""
    everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in everyone:
        try:
            one.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait()
