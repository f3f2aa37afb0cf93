"""Tokens wherever a user could put one: they are in no file of the home or a run, and in no output.

What the user wrote stays as it is; the tool neither copies it nor shows it.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.wrapper import lookalike
from tests.wrapper.runs import faked
from wrapper.checkouts import acquire
from wrapper.runs import runner
from wrapper.system import paths, proc

PLAIN = "8c1f0e5ab2d94766b0d3a1e2f4c5d6e7f8091a2b"  # as W&B's keys are: no form of its own
FORMED = "hf_PlantedPlantedPlantedPlanted42"
PASSWORD = "p1anted-passw0rd"
WEBHOOK = "https://discord.com/api/webhooks/4242/Planted-Webhook"
ALL = (PLAIN, FORMED, PASSWORD, "Planted-Webhook", base64.b64encode(b"me:" + PASSWORD.encode()))

PRESETS = {
    "by-name": f'[train]\nwandb_api_key = "{PLAIN}"\n',
    "unquoted": f"[train]\nwandb_api_key = {PLAIN}\n",
    "number": "[train]\nwandb_api_key = 81726354\n",
    "hub": f'[train]\nhuggingface_token = "{PLAIN}"\n',
    "by-form": f'[train]\nnetwork_args = ["a={FORMED}"]\n',
    "elsewhere": f'[dataset]\ncaption_prefix = "{FORMED}"\n',
    "why": f'[train]\nseed = 1\n[provenance]\n"train.seed" = "{FORMED}"\n',
    "twice": f'[train]\nwandb_api_key = "{PLAIN}"\nwandb_api_key = "{PLAIN}"\n',
    "misspelled": f'[train]\nwandb_apikey = "{FORMED}"\n',
    "other-table": f'[extract]\nwandb_api_key = "{PLAIN}"\n',
}
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("list", "--json"),
    ("show", "PRESET"),
    ("show", "PRESET", "--json", "--provenance"),
    ("validate", "PRESET"),
    ("validate", "PRESET", "--json", "--advice"),
    ("diff", "skynet", "PRESET"),
    ("diff", "PRESET", "skynet"),
    ("explain", "PRESET"),
    ("explain", "wandb_api_key"),
    ("new", "child", "--extends", "PRESET"),
    ("render", "PRESET", "--out", "out"),
    ("gui", "export", "PRESET", "--out", "gui.json"),
    ("train", "PRESET", "--data", ".", "--base", "a/b", "--dry-run"),
    ("rehearse", "PRESET", "--standin"),
)


ENTRY = """
import json, sys
from wrapper.cli import main
for words in json.loads(sys.argv[1]):
    print("=====", *words[:2], flush=True)
    sys.argv = ["kohya-presets", *words]
    try:
        main()
    except SystemExit:
        pass
"""


def typed(*words: str, **environ: str) -> str:
    """Return all that a command prints, run in a process of its own."""
    return all_typed([words], **environ)


def all_typed(commands: Sequence[Sequence[str]], **environ: str) -> str:
    """Return all that these commands print, one after another."""
    argv = [sys.executable, "-c", ENTRY, json.dumps(commands)]
    done = proc.run(argv, env=environ, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout.count("=====") == len(commands)
    return done.stdout + done.stderr


def planted(text: bytes | str) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    every = [secret if isinstance(secret, bytes) else secret.encode() for secret in ALL]
    return [secret.decode() for secret in (*every, b"81726354") if secret in data]


def holding(*folders: Path, but: set[Path] | None = None) -> list[Path]:
    """Return the files below the folders that hold a planted secret, names included."""
    files = [f for folder in folders for f in folder.rglob("*") if f not in (but or set())]
    return [f for f in files if planted(str(f)) or (f.is_file() and planted(f.read_bytes()))]


def preset(name: str, rest: str) -> Path:
    head = (
        f'schema = 1\n[preset]\nname = "{name}"\ntitle = "t"\nsummary = "s"\nextends = "skynet"\n'
    )
    file = paths.user_presets() / f"{name}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(head + rest, "utf-8")
    return file


@pytest.mark.parametrize("name", PRESETS)
def test_a_token_in_a_preset_gets_nowhere_else(name: str, home: Path) -> None:
    file = preset(name, PRESETS[name])
    commands = [[name if word == "PRESET" else word for word in words] for words in COMMANDS]
    assert planted(all_typed(commands)) == []
    assert holding(home, Path.cwd(), but={file}) == []


def test_the_refusal_says_what_to_do_instead(home: Path) -> None:
    preset("by-name", PRESETS["by-name"])
    said = typed("validate", "by-name")
    assert "train.wandb_api_key: expected the environment variable WANDB_API_KEY, found a" in said
    assert "hint: Delete it, and run `wandb login` or set WANDB_API_KEY." in said


@pytest.mark.parametrize(
    "given",
    [
        f"train.wandb_api_key={PLAIN}",
        f"train.huggingface_token='{PLAIN}'",
        f'train.network_args=["a={FORMED}"]',
        "train.wandb_api_key=81726354",
        f"train.wandb_api_key [{PLAIN}",
        f"wandb_api_key={PLAIN}",
        f"trian.wandb_api_key={PLAIN}",
    ],
)
def test_a_token_of_the_command_line_gets_nowhere(given: str, home: Path) -> None:
    commands = (
        ("show", "skynet"),
        ("new", "child", "--extends", "skynet"),
        ("validate", "skynet", "--json"),
        ("render", "skynet", "--out", "out"),
        ("train", "skynet", "--data", ".", "--base", "a/b", "--dry-run"),
    )
    assert planted(all_typed([[*words, "--set", given] for words in commands])) == []
    assert holding(home, Path.cwd()) == []


@pytest.mark.parametrize(
    "saved",
    [
        {"wandb_api_key": PLAIN, "huggingface_token": PLAIN, "use_wandb": True},
        {"wandb_api_key": 81726354},
        {"additional_parameters": f"--wandb_api_key={PLAIN} --huggingface_token {PLAIN}"},
        {"additional_parameters": f"--network_args a={FORMED}"},
        {"additional_parameters": f"--no_such_option {FORMED}"},
        {"training_comment": FORMED, "hf_token": FORMED, "logging_dir": f"https://a:{PASSWORD}@b"},
    ],
)
def test_an_import_drops_tokens_and_says_so(saved: dict[str, Any], home: Path) -> None:
    file = Path("saved.json")
    sdxl = {"sdxl_checkbox": True, "LoRA_type": "Standard", "learning_rate": 1e-4}
    file.write_text(json.dumps({**sdxl, **saved}), "utf-8")
    said = typed("gui", "import", str(file), "--all")
    assert planted(said) == []
    assert "dropped" in said
    assert holding(home, Path.cwd(), but={file.absolute()}) == []


def test_a_config_of_sd_scripts_is_checked_without_showing_its_tokens(home: Path) -> None:
    for number, text in enumerate(
        (f'wandb_api_key = "{PLAIN}"\n', f"wandb_api_key = [{PLAIN[0]}, 81726354]\n",
         f"wandb_api_key = {PLAIN}\n", f'seed = "{FORMED}"\n')
    ):  # fmt: skip
        file = Path(f"config{number}.toml")
        file.write_text(f"learning_rate = 1e-6\n{text}", "utf-8")
        words = (("validate",), ("validate", "--json"), ("gui", "import", "--all"))
        assert planted(all_typed([[*some, str(file)] for some in words])) == []


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a commit that git gets from https://code.invalid/sd-scripts, through a setting."""
    folder = lookalike.write(tmp_path / "origin")
    commit = lookalike.commit(folder)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{folder}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://code.invalid/sd-scripts")
    return commit


@pytest.mark.parametrize("door", ["--from", "SD_SCRIPTS_REMOTE"])
def test_a_checkout_forgets_the_token_of_its_remote(door: str, origin: str, home: Path) -> None:
    url = f"https://me:{PASSWORD}@code.invalid/sd-scripts"
    words = ("checkout", "add", origin)
    given = {door: url} if door != "--from" else {}
    said = typed(*words, *(() if given else ("--from", url)), **given)
    said += all_typed([("checkout", "list"), ("checkout", "list", "--json"), ("home", "show")])
    assert "code.invalid" in said
    assert planted(said) == []
    assert holding(home, Path.cwd()) == []
    settings = (paths.checkouts() / origin[:12] / "sd-scripts/.git/config").read_text("utf-8")
    assert "url = https://code.invalid/sd-scripts" in settings
    old = paths.checkouts() / origin[:12] / "checkout.toml"
    old.write_text(
        old.read_text("utf-8").replace("https://code", f"https://me:{PASSWORD}@code"), "utf-8"
    )
    assert planted(all_typed([("checkout", "list"), ("checkout", "list", "--json")])) == []


@pytest.mark.parametrize("url", [f"https://a.invalid/x?token={PASSWORD}", f"https://{FORMED}@b c/"])
def test_a_url_that_cannot_be_used_is_not_shown(url: str, home: Path) -> None:
    assert planted(typed("checkout", "add", "--from", url)) == []
    said = typed("train", "skynet", "--data", ".", "--base", url)
    assert planted(said) == []
    assert holding(home, Path.cwd()) == []


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str | None]]]:
    """Yield the address of a server that knows no repository, and the access it was given."""
    given: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given.append(self.headers["Authorization"])
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{http.server_address[1]}", given
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize("user", [f"me:{PASSWORD}", PASSWORD, "me%40work:" + PASSWORD])
def test_git_gives_the_token_to_the_server_and_no_process_shows_it(
    user: str, asked: tuple[str, list[str | None]], monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    seen: list[str] = []
    real: Callable[..., proc.Result] = proc.run

    def run(argv: Any, **more: Any) -> proc.Result:
        seen.append(" ".join(map(str, argv)))
        return real(argv, **more)

    monkeypatch.setattr(proc, "run", run)
    with pytest.raises(acquire.Unreachable) as error:
        acquire.from_git(f"http://{user}@{asked[0]}/x.git", "0" * 40, Path("clone"))
    assert planted(f"{error.value} {error.value.hint} {seen}") == []
    assert holding(Path("clone").absolute()) == []
    wanted = user.replace("%40", "@") + ("" if ":" in user else ":")
    assert asked[1][0] == "Basic " + base64.b64encode(wanted.encode()).decode()


def test_a_run_keeps_none_of_the_environments_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", PLAIN)
    monkeypatch.setenv("HF_TOKEN", FORMED)
    monkeypatch.setenv(paths.NOTIFY_VARIABLE, WEBHOOK)
    run = faked.new(tmp_path / "run")
    heard = faked.Heard(run.folder)
    runner.carry_out(run, heard)
    assert planted(f"{heard.said} {heard.lines}") == []
    assert holding(run.folder) == []
    assert os.environ["HF_TOKEN"] == FORMED
