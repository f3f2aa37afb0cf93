"""docs/json.md describes what each `--json` prints: every key stands in its command's section."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests import lora_files
from tests.wrapper.cli.test_cli import run
from tests.wrapper.cli.test_cli_lora import TO_Q, diagonal, models
from tests.wrapper.renting import pictures as renting
from wrapper.cli import cli
from wrapper.rehearsal import pictures
from wrapper.rehearsal.adapt import STANDIN

PAGE = Path(__file__).parents[3] / "docs" / "json.md"
SECTIONS = dict(
    re.findall(r"^## `([a-z ]+)`\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.S | re.M)
)


def with_json(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield each command that has --json, as it is typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from with_json(command, (*names, name))
        elif any("--json" in param.opts for param in command.params):
            yield " ".join((*names, name))


def described(command: str, *words: str | Path) -> None:
    """Run a command with --json; each key that it prints is in its section of the page."""
    done = run(*command.split(), *words, "--json")
    found = json.loads(done.stdout)
    assert found.pop("format") == 1
    missing = [key for key in found if f"| `{key}` |" not in SECTIONS[command]]
    assert not missing, f"docs/json.md, {command}"
    inner = {k for value in found.values() for each in _tables(value) for k in each}
    if command not in ("show", "doctor", "lora info"):  # whose inner keys are the user's
        assert not [key for key in inner if f"`{key}`" not in PAGE.read_text("utf-8")]


def _tables(value: object) -> list[dict[str, object]]:
    items = value if isinstance(value, list) else []
    return [each for each in items if isinstance(each, dict)]


def test_the_page_has_each_command_with_json_and_no_other() -> None:
    assert sorted(SECTIONS) == sorted(with_json(cli))


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("show", "skynet", "--provenance"),
        ("explain", "min_snr_gamma"),
        ("explain", "skynet"),
        ("validate", "skynet", "--set", "train.learning_rat=1"),
        ("doctor",),
        ("patch status", "--checkout", STANDIN),
    ],
)
def test_each_key_is_described(words: tuple[str, ...]) -> None:
    described(*words)


def test_each_key_of_a_checked_dataset_is_described(tmp_path: Path) -> None:
    pictures.draw(tmp_path / "images")
    described("dataset check", tmp_path / "images", "--headers-only")


def test_each_key_of_a_plan_is_described(tmp_path: Path) -> None:
    described("plan", "lion", "--data", renting.folder(tmp_path))


def test_each_key_of_a_lora_is_described(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "korra-32.safetensors", lora_files.whole(4))
    described("lora info", file)
    described("lora diff", file, file)


def test_each_key_of_a_card_is_described(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "korra.safetensors", lora_files.whole(4))
    described("card", file, "--metadata", "--upload", "hf", "me/korra")


def test_each_key_of_a_rank_is_described(tmp_path: Path, trainer_python: str) -> None:
    base, tuned = models(tmp_path, {TO_Q: diagonal(4, 3)})
    described("lora rank", "--base", base, "--tuned", tuned, "--python", trainer_python)
