"""`pack` and `unpack` as a person types them."""

from __future__ import annotations

import shlex
from pathlib import Path

from click.testing import CliRunner

from tests.wrapper.cli.test_cli import run
from tests.wrapper.renting import packs, pictures
from wrapper.cli import cli


def test_there_and_back_ends_with_the_command_that_trains(tmp_path: Path) -> None:
    data, out = pictures.folder(tmp_path, side=256), tmp_path / "korra é.zip"
    words = ("--data", data, "--base", packs.HUB, "--name", "korra é", "--keep", "loras")
    words += ("--set", "train.save_every_n_epochs=10")
    done = run("pack", "lion", *words, "--out", out)
    assert done.stdout == f"{out}\n"
    into = tmp_path / "there ü"
    done = run("unpack", out, "--into", into)
    assert done.stdout == f"{into}\n"
    line = done.stderr.partition("`")[2].partition("`")[0]
    dry = run(*shlex.split(line)[1:], "--dry-run")
    assert dry.exit_code == 0
    assert 'keep = "loras"' in (into / "preset.toml").read_text("utf-8")
    assert packs.HUB.replace("/", "/") in dry.stdout


def test_what_is_missing_is_wrong_usage(tmp_path: Path) -> None:
    found = CliRunner().invoke(cli, ["pack", "lion", "--out", str(tmp_path / "x.zip")])
    assert found.exit_code == 2
    assert "--data, --base" in found.stderr


def test_a_run_takes_no_data(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.toml").write_text("", "utf-8")
    words = ["pack", str(tmp_path / "run"), "--out", str(tmp_path / "x.zip"), "--name", "x"]
    found = CliRunner().invoke(cli, words)
    assert found.exit_code == 2
