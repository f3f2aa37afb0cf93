"""The real Kohya GUI, in an environment made for it, served to a real browser."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.upstream import own_environment
from tests.upstream.gui_sources import Printed
from wrapper.system import proc

PAGE = Path(__file__).with_name("gui_page.py")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# What v25 and v26 import before anything is trained, at their own pins where it matters.
PACKAGES = (
    *("gradio==5.34.1", "pydantic<2.12", "huggingface-hub==0.29.3", "transformers==4.44.2"),
    *(
        "accelerate",
        "diffusers==0.32.2",
        "easygui",
        "imagesize",
        "numpy",
        "packaging",
        "psutil",
        "requests",
    ),
    *("rich", "safetensors", "tensorboard", "toml", "torch", "voluptuous", "playwright"),
)
OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PYTHONUTF8": "1"}
PATIENCE_SECONDS = 240


def chromium() -> str:
    """Return the browser, or skip the test."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"there is no Chromium: none of {', '.join(BROWSERS)}")
    return found


def python(home: Path) -> Path:
    """Return the Python that runs the GUI, made once in `home`, or skip the test: minutes."""
    return own_environment.python(home / "kohya-gui" / "environment", PACKAGES)


@contextmanager
def served(gui: Path, executable: Path, log: Path) -> Iterator[str]:
    """Yield where the GUI in a folder answers, headless as on a rented machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = (*("--headless", "--noverify", "--listen", "127.0.0.1"), "--server_port", str(port))
    with log.open("wb") as said:
        server = psutil.Popen(
            [str(executable), str(PAGE), "serve", "kohya_gui.py", *words],
            cwd=gui,
            env={**os.environ, **OFFLINE, "PATH": f"{executable.parent}{os.pathsep}{os.defpath}"},
            stdout=said,
            stderr=said,
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}/", server, log)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait()


def printed(
    gui: Path,
    url: str,
    executable: Path,
    preset: str,
    picture: Path,
    *,
    shown: Mapping[str, str],
    filled: Mapping[str, str],
) -> Printed:
    """Return what the GUI prints after the preset was chosen; the page is kept in `picture`.

    `filled` are fields, by their labels, that a person fills in first; `shown` those that the
    preset must have filled in then.
    """
    command = gui / "logs" / "print_command.txt"
    request = {
        "url": url,
        "chromium": chromium(),
        "preset": preset,
        "shown": dict(shown),
        "filled": dict(filled),
        "until": str(command),
        "picture": str(picture),
    }
    asked = picture.with_suffix(".json")
    asked.write_text(json.dumps(request), "utf-8")
    proc.run([executable, PAGE, "press", asked], env=OFFLINE)
    words = shlex.split(command.read_text("utf-8"))
    config = Path(words[words.index("--config_file") + 1])
    return Printed(words, config.read_text("utf-8"))


def _wait_for(url: str, server: psutil.Popen, log: Path) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=PATIENCE_SECONDS).close()
        except OSError:
            assert server.status() != psutil.STATUS_ZOMBIE, log.read_text("utf-8")
            assert time.monotonic() < limit, log.read_text("utf-8")
            time.sleep(1)
        else:
            return
