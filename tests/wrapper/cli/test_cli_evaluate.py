"""`prompts` and `evaluate` as a person calls them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kohya_presets.prompts import lines
from tests import tensors
from tests.kohya_presets.dataset.checks import folders
from tests.wrapper.evaluation import fake
from wrapper.cli import cli
from wrapper.evaluation import site


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder with captioned images."""
    return folders.folder(
        tmp_path / "pictures of Zoë", *(f"a photo of zkw woman, scene {n}" for n in range(6))
    )


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, words)])


def test_prompts_are_printed_and_the_trigger_that_was_taken_is_said(images: Path) -> None:
    done = run("prompts", images)
    assert done.exit_code == 0, done.output
    prompts = lines.of_text(done.stdout)
    assert {prompt.kind for prompt in prompts} == {
        *("caption", "near", "trigger", "without", "generic")
    }
    assert {(prompt.width, prompt.height) for prompt in prompts} == {(1024, 1024)}
    assert "taken for the trigger: 'zkw woman'" in done.stderr


def test_prompts_are_written_to_a_file_and_nobodys_file_is_overwritten(
    images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "my prompts.txt"
    done = run(
        "prompts", images, "--trigger", "zkw", "--noun", "woman", "--size", 768, "--out", out
    )
    assert done.exit_code == 0, done.output
    before = out.read_bytes()
    assert b"--w 768 --h 768" in before
    assert run("validate", out).exit_code == 0
    again = run("prompts", images, "--out", out)
    assert again.exception is not None
    assert "already exists" in str(again.exception)
    assert out.read_bytes() == before


def test_a_folder_without_captions_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("prompts", tmp_path / "empty")
    assert "has no captions" in str(done.exception)


def test_a_file_of_prompts_is_validated_for_the_release(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("a cat --w 1024 --h 1024 --g 3\n", "utf-8")
    told = run("validate", file, "--release", "v0.9.1").stdout
    assert "prompt-option" in told
    assert "prompts.txt:1" in told
    assert "no problems found" in run("validate", file, "--release", "v0.10.1").stdout
    ignored = run("validate", file, "--release", "v0.9.1", "--ignore", "prompt-option").stdout
    assert "no problems found" in ignored


@pytest.fixture
def loras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return two LoRAs, and let a fake script draw with them."""
    files = []
    for number, name in enumerate(("korra-000010", "korra")):
        files.append(tmp_path / "loras" / f"{name}.safetensors")
        files[-1].parent.mkdir(exist_ok=True)
        tensors.write(files[-1], tensors.lora(4 + number))
    made = fake.site(tmp_path / "fake")
    monkeypatch.setattr(site, "asked", lambda *_: made)
    return files


def evaluate(loras: list[Path], images: Path, *more: object) -> Result:
    out = loras[0].parent / "evaluation"
    options = ("--base", "base", "--data", images, "--out", out, "--size", 64, "--steps", 2)
    return run("evaluate", *loras, *options, *more)


def test_a_dry_run_tells_how_many_pictures_and_makes_none(loras: list[Path], images: Path) -> None:
    done = evaluate(loras, images, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "the base and 2 LoRAs: 132 pictures" in done.stderr
    assert not (loras[0].parent / "evaluation").exists()


def test_loras_without_a_run_are_evaluated_once(loras: list[Path], images: Path) -> None:
    done = evaluate(loras, images)
    assert done.exit_code == 0, done.output
    page = Path(done.stdout.strip())
    assert page.is_file()
    pictures = {file: file.stat().st_mtime_ns for file in page.parent.rglob("*.png")}
    again = evaluate(loras, images)
    assert f", of which {len(pictures)} are there already" in again.stderr
    assert {file: file.stat().st_mtime_ns for file in page.parent.rglob("*.png")} == pictures


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--epochs", "10,7"), "no LoRA is of epoch 7; there are those of 10"),
        (("--epochs", "inf"), "expected epochs like 10,20"),
        (("--strengths", "nan"), "expected strengths from 0.01 to 5"),
        (("--strengths", "1e-7,1"), "expected strengths from 0.01 to 5"),
    ],
)
def test_what_cannot_be_is_said(
    more: tuple[str, ...], said: str, loras: list[Path], images: Path
) -> None:
    done = evaluate(loras, images, *more)
    assert done.exit_code != 0
    assert said in f"{done.output} {done.exception}"


def test_a_lora_needs_a_base_and_a_place(loras: list[Path]) -> None:
    done = run("evaluate", *loras)
    assert "need --base and --out" in str(done.exception)


def test_prompts_that_are_there_are_not_overruled_in_silence(
    loras: list[Path], images: Path
) -> None:
    assert evaluate(loras, images).exit_code == 0
    for more in (("--trigger", "korra"), ("--noun", "man")):
        done = evaluate(loras, images, *more)
        assert "has no effect on the prompts that are there" in str(done.exception)
    assert evaluate(loras, images, "--trigger", "zkw woman").exit_code == 0


def test_what_does_not_exist_is_said_to_be_so(tmp_path: Path) -> None:
    done = run("evaluate", tmp_path / "runs" / "typo")
    assert "does not exist" in str(done.exception)


def test_a_lora_called_base_is_refused(loras: list[Path], images: Path) -> None:
    lora = loras[0].with_name("base.safetensors")
    loras[0].rename(lora)
    done = evaluate([lora], images)
    assert "a LoRA cannot be called base" in str(done.exception)
