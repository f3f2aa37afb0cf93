"""What `validate` prints, and that runs ask it first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kohya_presets.errors import UserError
from tests.wrapper.cli.test_cli import run, typed
from wrapper.planning import subjects
from wrapper.rehearsal.adapt import STANDIN


def test_a_good_preset_has_nothing_said_of_it() -> None:
    result = run("validate", "skynet", "lion")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "skynet on v0.10.1: no problems found" in lines
    assert "lion on v0.10.1: no problems found" in lines


def test_errors_come_first_with_place_hint_and_code() -> None:
    words = ("--set", "train.learning_rat=1", "--set", "train.lr_scheduler=cosine")
    result = typed("validate", "skynet", *words)
    assert result.returncode == 3
    assert result.stdout.startswith("skynet on v0.10.1: 1 error\n  error: ")
    assert "    hint: Did you mean 'learning_rate'" in result.stdout
    assert result.stdout.endswith("  advice: 1 setting to think over: add --advice to see them\n")
    assert "[schedule]" not in result.stdout
    assert (
        "  advice: train.lr_scheduler: " in typed("validate", "skynet", *words, "--advice").stdout
    )
    assert result.stderr == ""


def test_json_has_the_source_of_each_rule(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("train_text_encoder = false\nclip_skip = 2\n", "utf-8")
    words = ("--json", "--release", "v0.9.1", "--script", "sdxl_train.py")
    result = run("validate", config, *words)
    assert result.exit_code == 0
    (report,) = json.loads(result.stdout)["reports"]
    assert (report["subject"], report["release"]) == (str(config), "v0.9.1")
    problem = next(p for p in report["problems"] if p["code"] == "clip-skip")
    assert (problem["file"], problem["line"], problem["key"]) == (str(config), 2, "clip_skip")
    assert problem["source"].startswith("library/sdxl_train_util.py")
    assert problem["severity"] == "warning"


def test_a_rule_is_left_out_by_its_code() -> None:
    words = ("validate", "a6000", "--ignore")
    assert "no problems found" in run(*words, "min-snr-gamma").stdout
    result = typed(*words, "min-snr-gama")
    assert (result.returncode, "'min-snr-gamma'" in result.stderr) == (1, True)


def test_a_checkout_is_held_against_what_it_carries(tmp_path: Path) -> None:
    clone = tmp_path / "sd scripts"
    shutil.copytree(STANDIN, clone, ignore=shutil.ignore_patterns("__pycache__"))
    config = tmp_path / "config.toml"
    config.write_text("enable_ema = true\n", "utf-8")
    words = ("validate", config, "--checkout", clone)
    assert "[missing-patch]" in run(*words).stdout
    run("patch", "apply", "ema", "--checkout", clone)
    assert "[missing-patch]" not in run(*words).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("validate", "nowhere.toml"), "there is no preset file"),
        (("validate", "skynte"), "Did you mean 'skynet'?"),
        (("validate", "skynet", "--release", "v0.6.0"), "there is no release"),
    ],
)
def test_what_is_not_there_is_told(words: tuple[str, ...], said: str) -> None:
    result = typed(*words)
    assert (result.returncode, said in result.stderr) == (1, True)


@pytest.mark.parametrize("release", ["", "2d", "5"])
def test_a_release_is_no_beginning_of_any_commit(release: str) -> None:
    with pytest.raises(UserError, match="there is no release"):
        run("validate", "skynet", "--release", release)


def test_a_checkout_is_of_one_release() -> None:
    result = typed("validate", "skynet", "--checkout", STANDIN, "--release", "v0.7.0")
    assert result.returncode == 2
    assert "Leave out --release" in result.stderr
    assert run("validate", "skynet", "--checkout", STANDIN).stdout.startswith("skynet on v0.7.0")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ('releases = "banana"', "wrong-type"),
        ('releases = ""', "wrong-type"),
        ('releases = "<0.8,garbage"', "wrong-type"),
        ('releases = ">=0.11.9"', "release"),
        ('patches = ["emma"]', "unknown-patch"),
    ],
)
def test_what_a_preset_wants_is_looked_into(header: str, code: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    head = 'schema = 1\n[preset]\nname = "mine"\ntitle = "x"\nsummary = "x"\nextends = "skynet"\n'
    file.write_text(f"{head}{header}\n", "utf-8")
    result = typed("validate", file)
    assert result.returncode == 3
    assert f"mine.toml:7: preset.{header.split()[0]}: " in result.stdout
    assert f"[{code}]" in result.stdout


@pytest.mark.parametrize("command", ["train", "rehearse"])
def test_a_run_validates_before_anything_is_fetched(
    command: str, tmp_path: Path, home: Path
) -> None:
    words = ("--data", tmp_path, "--base", "o/r") if command == "train" else ()
    result = typed(command, "skynet", *words, "--set", "train.lr_warmup_steps=10")
    assert result.returncode == 3
    assert "[needless-warmup]" in result.stderr
    assert not home.exists()


def test_the_commit_of_a_kohya_gui_is_known() -> None:
    assert subjects.known("b8896aad400222c8c4441b217fda0f9bb0807ffd") == "b8896aad4002"
    assert subjects.known("0.10.1") == "v0.10.1"


def test_the_same_finding_in_many_places_is_told_once(tmp_path: Path) -> None:
    file = tmp_path / "dataset.toml"
    subset = '[[datasets.subsets]]\nimage_dir = "x"\nnum_repeat = 2\n'
    file.write_text("[[datasets]]\nresolution = 1024\n" + subset * 400, "utf-8")
    said = run("validate", file).stdout
    assert said.count("num_repeat") <= 3
    assert "1 error" in said.splitlines()[0]
    assert "also: line 8, line 11, line 14 and 396 more" in said
