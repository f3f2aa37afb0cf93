"""What a person types to get a model page, and what comes back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import lora_files, tensors
from tests.kohya_presets.cards import made
from tests.wrapper.cards import runs
from tests.wrapper.cli.test_cli import run, typed

TOKEN = "hf_PlantedPlantedPlantedPlanted42"


def filled(folder: Path) -> None:
    """Write a card.toml as its author would, but for the versions."""
    folder.mkdir(exist_ok=True)
    words = made.FILLED.split("[[versions]]")[0]
    (folder / "card.toml").write_text(words, "utf-8")


def test_the_first_call_names_the_gaps_and_the_second_has_none(tmp_path: Path) -> None:
    at = runs.finished(tmp_path / "korra").folder
    first = run("card", at)
    assert first.exit_code == 0
    assert [line for line in first.stdout.splitlines() if line.startswith(str(at))] == [
        str(at / "card" / name)
        for name in (
            *("card.toml", "pictures/1.jpg", "pictures/2.jpg"),
            *("card.md", "card.html", "README.md"),
        )
    ]
    assert f"9 gaps to fill in, in {at / 'card' / 'card.toml'}:" in first.stdout
    assert "  trigger: the trigger words\n" in first.stdout
    filled(at / "card")
    second = run("card", at)
    assert "gap" not in second.stdout
    assert "TO FILL IN" not in (at / "card" / "card.md").read_text("utf-8")


def test_an_out_folder_and_a_lora_alone(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "my ü.safetensors", lora_files.whole())
    out = tmp_path / "my card é"
    assert run("card", file, "--out", out).exit_code == 0
    assert {p.name for p in out.iterdir()} == {
        *("card.toml", "card.md", "card.html", "README.md", ".written.json")
    }
    assert not (tmp_path / "my ü-card").exists()


def test_metadata_go_into_a_copy_unless_the_file_is_named(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "korra.safetensors", lora_files.whole())
    before = file.read_bytes()
    said = run("card", file, "--metadata")
    copy = tmp_path / "korra-card" / "korra.safetensors"
    assert f"{copy}  (metadata: title, sai_model_spec, " in said.stdout
    assert file.read_bytes() == before
    assert tensors.contents(copy) == tensors.contents(file)
    assert run("card", file, "--metadata", "--in-place").exit_code == 0
    assert file.read_bytes() != before
    assert tensors.contents(copy) == tensors.contents(file)
    # The same LoRA, so the same version.
    words = (tmp_path / "korra-card" / "card.toml").read_text("utf-8")
    assert words.count("[[versions]]") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--lora-out", "x.safetensors"), "--lora-out needs --metadata"),
        (("--in-place",), "--in-place needs --metadata"),
        (("--thumbnail", "x.png"), "--thumbnail needs --metadata"),
        (("--yes-upload",), "--yes-upload needs --upload"),
        (("--public",), "--public needs --upload"),
        (("--metadata", "--in-place", "--lora-out", "x.safetensors"), "exclude each other"),
        (("--upload", "ftp", "a/b"), "'ftp' is not 'hf'"),
    ],
)
def test_options_that_would_have_no_effect_are_wrong_usage(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    result = run("card", tmp_path, *words)
    assert result.exit_code == 2
    assert says in result.stderr


def test_in_place_is_refused_for_a_runs_lora_before_anything_is_written(tmp_path: Path) -> None:
    at = runs.finished(tmp_path / "korra").folder
    done = typed("card", at, "--metadata", "--in-place")
    assert done.returncode == 1
    assert "it must not change" in done.stderr
    assert not (at / "card").exists()


def test_an_upload_is_shown_and_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    at = runs.finished(tmp_path / "korra").folder
    filled(at / "card")
    done = run("card", at, "--metadata", "--upload", "hf", "aya/korra")
    assert done.exit_code == 0
    assert "would upload to https://huggingface.co/aya/korra" in done.stdout
    assert re.search(r"korra\.safetensors  \d+ kB  from .*card.korra\.safetensors", done.stdout)
    assert "nothing was uploaded" in done.stderr
    assert TOKEN not in done.output
    assert '"aya/korra", weight_name="korra.safetensors"' in (at / "card" / "README.md").read_text(
        "utf-8"
    )


def test_an_upload_that_is_asked_for_needs_a_token_and_no_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = runs.finished(tmp_path / "korra").folder
    words = ("card", at, "--upload", "hf", "aya/korra", "--yes-upload")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    assert "HF_TOKEN is not set" in typed(*words).stderr
    assert not (at / "card").exists()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = typed(*words)
    assert "the card still has 9 gaps" in done.stderr
    filled(at / "card")
    done = typed(*words)
    assert done.returncode == 1
    assert "could not upload to aya/korra" in done.stderr
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or TOKEN.encode() not in file.read_bytes()
    assert TOKEN not in done.stderr + done.stdout


def test_a_misspelled_word_of_the_author_is_told(tmp_path: Path) -> None:
    at = runs.finished(tmp_path / "korra").folder
    (at / "card").mkdir()
    (at / "card" / "card.toml").write_text('titel = "x"\n', "utf-8")
    said = run("card", at)
    assert said.exit_code == 0
    assert "card.toml has no such key" in said.stderr
    assert "title" in said.stderr


def test_hostile_names_reach_no_terminal(tmp_path: Path) -> None:
    file = tmp_path / "a\x1b[31m.safetensors"
    try:
        lora_files.write(file, lora_files.whole(), {"modelspec.title": "\x1b]0;x\x07"})
    except OSError:
        pytest.skip("such a name cannot be made here")
    said = run("card", file)
    assert "\x1b" not in said.output
    text = (tmp_path / f"{file.stem}-card" / "card.md").read_text("utf-8")
    assert "\x1b" not in text


def test_json_has_the_same(tmp_path: Path) -> None:
    at = runs.evaluated(runs.finished(tmp_path / "korra")).folder
    said = json.loads(run("card", at, "--metadata", "--upload", "hf", "a/b", "--json").stdout)
    assert said["lora"] == str(at / "lora" / "korra.safetensors")
    assert {gap["key"] for gap in said["gaps"]} >= {"description", "permissions.sell_model"}
    assert said["metadata"]["file"] == str(at / "card" / "korra.safetensors")
    assert said["metadata"]["set"]["modelspec.trigger_phrase"] == "korra"
    assert said["upload"]["uploaded"] is None
    assert [*said["upload"]["files"]] == ["README.md", "pictures/1.jpg", "korra.safetensors"]
    assert json.loads(run("card", at, "--json").stdout)["upload"] is None
