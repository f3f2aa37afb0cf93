"""Base models on this disk, and from a server on this machine that speaks the Hub's API."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from kohya_presets.loras import weights
from tests import tensors
from wrapper.data import base_model
from wrapper.system import proc

COMMIT = "c" * 40
ETAG = '"0123456789abcdef"'


class Hub(ThreadingHTTPServer):
    """Serves the files of one repository, stability/sdxl; `cut` sends only so many bytes, once."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.folder = folder
        self.cut: int | None = None
        self.ranges: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        if match := re.fullmatch(r"/stability/sdxl/resolve/[^/]+/(.+)", self.path):
            self.file(self.server.folder / match[1], body=body)
        elif self.path.startswith("/api/models/stability/sdxl/tree/"):
            files = sorted(self.server.folder.iterdir())
            listed = [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0"}
                for f in files
            ]
            self.send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})
        elif self.path.startswith(("/api/models/secret/", "/secret/")):
            self.send(403, b"", {"X-Error-Code": "GatedRepo"})
        else:
            self.send(404, b"", {"X-Error-Code": "RepoNotFound"})

    def file(self, file: Path, *, body: bool) -> None:
        if not file.is_file():
            self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content, status, first = file.read_bytes(), 200, 0
        head = {"X-Repo-Commit": COMMIT, "ETag": ETAG, "Accept-Ranges": "bytes"}
        if asked := self.headers.get("Range"):
            self.server.ranges.append(asked)
            first = int(re.findall(r"bytes=(\d+)-", asked)[0])
            status = 206
            head["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        content = content[first:]
        if not body:
            self.send(status, b"", head | {"Content-Length": str(len(content))})
        elif self.server.cut is not None:
            self.send_response(status)
            for name, value in (head | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: self.server.cut])
            self.close_connection = True
        else:
            self.send(status, content, head)

    def send(self, status: int, content: bytes, head: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | head).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "served"
    wide = {**tensors.SDXL, "model.diffusion_model.out.2.weight": (1000, 12_500)}  # over one chunk
    tensors.write(folder / "sd_xl_base_1.0.safetensors", wide)
    tensors.write(folder / "sd_xl_offset_example-lora_1.0.safetensors", tensors.lora())
    server = Hub(folder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def find(reference: str, hub: Hub | str, home: Path) -> proc.Result:
    """Ask in a process of its own: huggingface_hub reads its settings when it is imported."""
    code = (
        "import sys; from wrapper.data import base_model\n"
        "from kohya_presets.errors import UserError\n"
        "try:\n"
        "    found = base_model.find(sys.argv[1], on_step=lambda text: None)\n"
        "    print(found.file); print(found.revision)\n"
        "except UserError as error:\n"
        "    sys.exit(f'{error} | {error.hint}')"
    )
    env = {
        "HF_ENDPOINT": hub if isinstance(hub, str) else hub.url,
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    return proc.run([sys.executable, "-c", code, reference], env=env, check=False)


@pytest.mark.parametrize(
    "reference", ["stability/sdxl", "stability/sdxl/sd_xl_base_1.0.safetensors"]
)
def test_a_repository_gives_its_one_base_model(reference: str, hub: Hub, tmp_path: Path) -> None:
    said = find(reference, hub, tmp_path)
    assert said.returncode == 0, said.stderr
    file, revision = said.stdout.splitlines()
    original = hub.folder / "sd_xl_base_1.0.safetensors"
    assert weights.sha256(Path(file)) == weights.sha256(original)
    assert revision == COMMIT


def test_a_download_that_was_cut_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    reference = "stability/sdxl/sd_xl_base_1.0.safetensors"
    hub.cut = 15_000_000
    assert find(reference, hub, tmp_path).returncode
    assert list((tmp_path / "hf").rglob("*.incomplete"))
    hub.cut = None
    hub.ranges.clear()
    said = find(reference, hub, tmp_path)
    assert said.returncode == 0, said.stderr
    assert any(not asked.startswith("bytes=0-") for asked in hub.ranges)
    weights.require(Path(said.stdout.splitlines()[0]))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("nobody/nothing", "no repository nobody/nothing"),
        ("stability/sdxl/other.safetensors", "no such file"),
        ("secret/model/a.safetensors", "is gated"),
    ],
)
def test_what_cannot_be_had_is_said(reference: str, words: str, hub: Hub, tmp_path: Path) -> None:
    said = find(reference, hub, tmp_path)
    assert said.returncode == 1
    assert words in said.stderr
    assert " | None" not in said.stderr
    assert "Traceback" not in said.stderr


def test_a_hub_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"  # the port of "discard"
    said = find("stability/sdxl", nobody, tmp_path)
    assert said.returncode == 1
    assert "could not download stability/sdxl: " in said.stderr
    assert "Traceback" not in said.stderr


def test_a_file_that_is_here_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tensors.write(tmp_path / "stability" / "sdxl", tensors.SDXL)
    monkeypatch.chdir(tmp_path)
    found = base_model.find("stability/sdxl", on_step=print)
    assert (found.file, found.revision) == (file, None)


@pytest.mark.parametrize(
    "reference",
    ["model.safetensors", "models/base.safetensors", "/a/b/c", "~/x/y", "C:\\m\\base.safetensors"],
)
def test_a_path_with_nothing_at_it_is_no_repository(reference: str) -> None:
    with pytest.raises(UserError, match="does not exist"):
        base_model.find(reference, on_step=print)


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["README.md", "a.safetensors"], "a.safetensors"),
        (
            [
                "sd_xl_base_1.0.safetensors",
                "sd_xl_base_1.0_0.9vae.safetensors",
                "unet/x.safetensors",
            ],
            "sd_xl_base_1.0.safetensors",
        ),
        (["m_v1.safetensors", "m_v1_pruned.safetensors"], "m_v1.safetensors"),
        (["a.safetensors", "b.safetensors"], None),
        (["unet/a.safetensors"], None),
    ],
)
def test_the_base_model_of_a_list(files: list[str], chosen: str | None) -> None:
    if chosen:
        assert base_model.choose("o/r", files) == chosen
    else:
        with pytest.raises(UserError) as caught:
            base_model.choose("o/r", files)
        assert caught.value.hint
