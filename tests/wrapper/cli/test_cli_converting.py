"""`extract` and `resize`, as they are typed; their scripts are fakes that need no torch."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from kohya_presets.errors import PresetError, ProblemsError, TrainerError, UserError
from tests import tensors
from tests.wrapper.conversions import faked
from tests.wrapper.runs.killing import wait_for
from wrapper.cli import cli
from wrapper.environments import environment
from wrapper.environments.environment import Probe
from wrapper.planning import disk
from wrapper.system import launch

posix = pytest.mark.skipif(os.name != "posix", reason="signals")
ALL_THERE = "Probe('3.11', {'torch': '2'}, {}, None)"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a checkout, a base and two tuned models, and a LoRA."""
    monkeypatch.setattr(environment, "probe", lambda _: Probe("3.11", {"torch": "2"}, {}, None))
    folder = tmp_path / "my models ü 東京"
    faked.checkout(folder / "sd scripts")
    for name in ("base", "korra", "asami é"):
        faked.model(folder / f"{name}.safetensors")
    faked.lora(folder / "korra-32.safetensors")
    return folder


def words(place: Path, tool: str, *more: str | Path) -> list[str]:
    """Return what is typed; names without a folder lie in `place`."""
    said = [tool, *map(str, more), "--checkout", place / "sd scripts", "--python", sys.executable]
    known = {file.name: file for file in place.iterdir()}
    return [str(known.get(word, word)) if isinstance(word, str) else str(word) for word in said]


def run(place: Path, tool: str, *more: str | Path) -> Result:
    return CliRunner().invoke(cli, words(place, tool, *more), catch_exceptions=False)


def extract(place: Path, tuned: str, *more: str | Path) -> Result:
    base = ("--base", "base.safetensors", "--tuned", tuned)
    return run(place, "extract", *base, "--set", "extract.dim=8", *more)


def nothing_left(folder: Path) -> bool:
    return not [file for file in folder.rglob("*") if ".part" in file.name]


def test_one_model_becomes_one_file(place: Path) -> None:
    out = place / "loras" / "korra é.safetensors"
    said = extract(place, "korra.safetensors", "--out", out)
    assert said.stdout == f"{out}\n"
    assert [file.name for file in out.parent.iterdir()] == [out.name]
    assert f"{out.name}: rank 8, fp16" in said.stderr
    assert (
        "[extract] of the preset lion (name another one, or use --set): sdxl, dim 8" in said.stderr
    )
    assert "extract  6/12" in said.stderr
    assert "  extract  finished in" in said.stderr
    assert "lacks the patch fast-lora: extract takes much longer without it" in said.stderr


def test_many_models_become_files_named_by_their_rank(place: Path) -> None:
    out = place / "loras"
    said = extract(place, "korra.safetensors", "asami é.safetensors", "--out", out)
    made = [out / f"{name}-8.safetensors" for name in ("korra", "asami é")]
    assert said.stdout.splitlines() == [str(file) for file in made]
    assert sorted(out.iterdir()) == sorted(made)
    assert "asami é.safetensors (2 of 2)" in said.stderr


def test_a_preset_gives_the_settings(place: Path) -> None:
    base = ("--base", "base.safetensors", "--tuned", "korra.safetensors")
    said = run(place, "extract", "skynet", *base, "--out", place)
    assert said.stdout.splitlines() == [str(place / "korra-512.safetensors")]
    assert "[extract] of the preset skynet: sdxl, dim 512" in said.stderr
    assert "fast-lora" not in said.stderr
    assert "skynet also resizes its LoRA: `kohya-presets resize skynet --lora" in said.stderr


def test_a_resized_lora_is_named_by_its_new_rank(place: Path) -> None:
    said = run(place, "resize", "--lora", "korra-32.safetensors", "--out", place)
    assert said.stdout.splitlines() == [str(place / "korra-16.safetensors")]
    assert "resize with" in said.stderr
    assert "[resize] of the preset skynet" in said.stderr


def test_only_the_lora_at_hand_says_from_which_rank(place: Path) -> None:
    faked.lora(place / "large.safetensors", 1024)
    more = ("--lora", "large.safetensors", "--out", place, "--set", "resize.new_rank=768")
    said = run(place, "resize", *more)  # larger than what skynet extracts
    assert said.stdout.splitlines() == [str(place / "large-768.safetensors")]
    assert "warning: large" not in said.stderr


def test_a_lora_of_that_rank_is_told(place: Path) -> None:
    more = ("--lora", "korra-32.safetensors", "--out", place / "a.safetensors")
    said = run(place, "resize", *more, "--set", "resize.new_rank=32")
    assert "korra-32.safetensors already has rank 32: it will not get smaller" in said.stderr


def test_what_exists_is_replaced_with_force_only(place: Path) -> None:
    out = place / "there.safetensors"
    out.write_bytes(b"mine")
    with pytest.raises(UserError, match="already exists") as caught:
        extract(place, "korra.safetensors", "--out", out)
    assert "--force" in (caught.value.hint or "")
    assert out.read_bytes() == b"mine"
    extract(place, "korra.safetensors", "--out", out, "--force")
    assert len(out.read_bytes()) > 100


def test_what_exists_is_skipped_if_so_asked(place: Path) -> None:
    more = ("asami é.safetensors", "--out", place / "l", "--skip-existing")
    (place / "l").mkdir()
    (place / "l" / "korra-8.safetensors").write_bytes(b"mine")
    said = extract(place, "korra.safetensors", *more)
    assert said.stdout.splitlines() == [str(place / "l" / "asami é-8.safetensors")]
    assert "korra-8.safetensors exists already: skipped" in said.stderr
    assert (place / "l" / "korra-8.safetensors").read_bytes() == b"mine"
    again = extract(place, "korra.safetensors", *more)
    assert (again.exit_code, again.stdout) == (0, "")


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_an_input_is_never_overwritten(place: Path, force: tuple[str, ...]) -> None:
    for name in ("korra", "base"):
        before = (place / f"{name}.safetensors").read_bytes()
        with pytest.raises(UserError, match="cannot be written"):
            extract(place, "korra.safetensors", "--out", place / f"{name}.safetensors", *force)
        assert (place / f"{name}.safetensors").read_bytes() == before


def test_a_failed_one_does_not_lose_the_others(place: Path) -> None:
    for name in ("fails", "zero"):
        faked.model(place / f"{name}.safetensors")
    more = ("fails.safetensors", "korra.safetensors", "zero.safetensors")
    result = CliRunner().invoke(
        cli,
        words(
            place, "extract", "--base", "base.safetensors", "--tuned", *more, "--out", place / "l"
        ),
    )
    error = result.exception
    assert isinstance(error, TrainerError)
    assert error.exit_code == 5
    assert str(error).startswith("2 of 3 files failed:\n")
    for name, why in (("fails", "CUDA out of memory"), ("zero", "changes nothing")):
        assert f"{place / name}.safetensors: " in str(error)
        assert why in str(error)
    assert "--set extract.device=cpu" in (error.hint or "")
    assert [file.name for file in (place / "l").iterdir()] == ["korra-128.safetensors"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fails", r"extract stopped with exit code 1: RuntimeError: CUDA out of memory"),
        ("nothing", r"extract ended without writing a\.safetensors"),
        ("zero", "unusable: .* changes nothing"),
        ("nan", "unusable: .* contains inf or NaN"),
        ("cut", "unusable: .* is incomplete"),
    ],
)
def test_a_bad_result_is_an_error_and_leaves_nothing(name: str, why: str, place: Path) -> None:
    faked.model(place / f"{name}.safetensors")
    out = place / "new" / "folder" / "a.safetensors"
    with pytest.raises(TrainerError, match=why) as caught:
        extract(place, f"{name}.safetensors", "--out", out)
    assert not (place / "new").exists()
    assert ".part" not in str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 500


@pytest.mark.parametrize("tool", ["extract", "resize"])
def test_a_disk_without_room_is_told_before_any_work(
    tool: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free", lambda _: 10)
    more: tuple[str, ...] = ("--lora", "korra-32.safetensors")
    if tool == "extract":
        more = ("--base", "base.safetensors", "--tuned", "korra.safetensors")
    with pytest.raises(UserError, match=r"1 LoRA would take .* but only 0\.0 MB are free"):
        run(place, tool, *more, "--out", place / "l")
    assert not (place / "l").exists()


def test_a_folder_that_cannot_be_made_is_an_error(place: Path) -> None:
    out = place / "base.safetensors" / "a.safetensors"
    with pytest.raises(UserError, match=r"cannot write .*base\.safetensors"):
        extract(place, "korra.safetensors", "--out", out)


def test_a_script_that_leaves_modules_as_they_were_is_found_out(place: Path) -> None:
    faked.lora(place / "same.safetensors", 64)
    with pytest.raises(TrainerError, match="should have rank 16 at most, but has rank 64"):
        run(place, "resize", "--lora", "same.safetensors", "--out", place)


def test_a_lora_without_text_encoders_is_told(place: Path) -> None:
    faked.model(place / "unet.safetensors")
    said = extract(place, "unet.safetensors", "--out", place / "a.safetensors")
    assert "warning: a.safetensors has no modules for the text encoders" in said.stderr
    assert (place / "a.safetensors").is_file()


def test_all_bad_inputs_are_told_before_any_work(place: Path) -> None:
    faked.model(place / "fp8.safetensors", "F8_E4M3")
    tensors.write(place / "cut.safetensors", tensors.SDXL, cut=3)
    more = ("korra-32.safetensors", "fp8.safetensors", "cut.safetensors", "korra.safetensors")
    with pytest.raises(ProblemsError) as caught:
        extract(place, *more, "--out", place / "loras")
    said = [str(problem.message) for problem in caught.value.problems]
    for text, why in zip(said, ("is a LoRA", "is in fp8", "is incomplete"), strict=True):
        assert why in text
    assert not (place / "loras").exists()


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("extract.dim=[4,8]", PresetError),  # only with the patch
        ("extract.dimm=4", PresetError),
        ("extract.sdxl=false", PresetError),
        ("extract=unset", UserError),
        ("train.learning_rate=1", UserError),
    ],
)
def test_a_bad_setting_is_an_error(setting: str, error: type[Any], place: Path) -> None:
    with pytest.raises(error):
        extract(place, "korra.safetensors", "--out", place / "l", "--set", setting)
    assert not (place / "l").exists()


def test_two_presets_are_wrong_usage(place: Path) -> None:
    said = extract(place, "korra.safetensors", "skynet", "lion", "--out", place / "l")
    assert said.exit_code == 2
    assert "Expected one preset, found skynet and lion." in said.stderr


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_an_interrupt_there_is_no_half_file_and_no_process(
    number: signal.Signals, place: Path
) -> None:
    faked.model(place / "hold.safetensors")
    out = place / "loras"
    child = begin(place, "korra.safetensors", "hold.safetensors", "--out", out)
    work = out / ".hold-128.safetensors.part"
    wait_for(lambda: bool(launch.at_work(work)) and (work / "hold-128.safetensors").exists())
    child.send_signal(number)
    assert child.wait(60) == 130
    assert not launch.at_work(work)
    assert [file.name for file in out.iterdir()] == ["korra-128.safetensors"]


@posix
def test_what_a_kill_left_is_cleared_by_the_next(place: Path) -> None:
    faked.model(place / "hold.safetensors")
    out = place / "a.safetensors"
    work = place / ".a.safetensors.part"
    child = begin(place, "hold.safetensors", "--out", out)
    wait_for(lambda: bool(launch.at_work(work)) and (work / out.name).exists())
    with pytest.raises(UserError, match="another kohya-presets is already writing"):
        extract(place, "korra.safetensors", "--out", out)
    child.kill()
    child.wait(60)
    orphans = launch.at_work(work)
    assert orphans
    extract(place, "korra.safetensors", "--out", out)
    assert out.is_file()
    assert not launch.at_work(work)
    assert not work.exists()


def begin(place: Path, tuned: str, *more: str | Path) -> psutil.Popen:
    """Start an extraction in a process of its own."""
    base = ("--base", "base.safetensors", "--tuned", tuned)
    code = (
        "from wrapper.environments import environment; from wrapper.cli import main\n"
        f"Probe = environment.Probe; environment.probe = lambda _: {ALL_THERE}; main()"
    )
    with (place / "begun.log").open("wb") as said:
        line = [sys.executable, "-c", code, *words(place, "extract", *base, *more)]
        return psutil.Popen(line, stdout=said, stderr=said)
