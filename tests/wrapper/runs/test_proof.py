"""What a rehearsal says it has proved: each line is there if it was measured, and only then."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.loras import weights
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import Preset
from tests import tensors
from tests.wrapper.runs import faked
from wrapper.rehearsal import changed, pictures
from wrapper.runs import proof
from wrapper.runs.manifest import Run
from wrapper.runs.proof import Proof

PART_OF = {
    name: part
    for part, start in changed.PARTS.items()
    for name in tensors.SDXL
    if name.startswith(start)
}
ALL = ("U-Net", "text encoder 1", "text encoder 2")
CONFIG = {"learning_rate": 1e-6, "train_text_encoder": True, "no_half_vae": False}


@pytest.fixture
def preset(shipped: Catalogue) -> Preset:
    settings = {"dim": 4, "sdxl": True}
    return replace(shipped.load("skynet"), extract=settings, resize={"new_rank": 2})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run that has ended: nothing was changed, nothing observed."""
    made = faked.new(tmp_path / "run")
    (made.folder / "config.toml").write_text(
        "learning_rate = 1e-6\ntrain_text_encoder = true\nno_half_vae = false\n", "utf-8"
    )
    pictures.draw(made.folder / "data", count=3)
    for stage in made.stages:
        shapes = tensors.lora(4) if stage.expects == "a LoRA" else tensors.SDXL
        tensors.write(stage.output, shapes)
        stage.launch.log.parent.mkdir(exist_ok=True)
        stage.launch.log.write_text("nothing to see\n", "utf-8")
    return made


def change(file: Path, *names: str) -> None:
    """Set the first number of these tensors to 1, in fp16."""
    header = weights.read(file)
    with file.open("r+b") as opened:
        for name in names:
            opened.seek(header.tensors[name].start)
            opened.write(b"\x00\x3c")


def observe(run: Run, script: str, **seen: Any) -> None:
    nothing: dict[str, Any] = {"options": {}, "images": None, "captions": None}
    folder = run.folder / proof.OBSERVED
    folder.mkdir(exist_ok=True)
    (folder / f"{script}.json").write_text(json.dumps(nothing | seen), "utf-8")


def about(found: Proof, word: str) -> tuple[list[str], list[str]]:
    """Return what was proved and missed of something."""
    return [x for x in found.proved if word in x], [x for x in found.missed if word in x]


def test_nothing_measured_is_nothing_proved(run: Run, preset: Preset) -> None:
    found = proof.of(run, preset, ALL)
    assert found.proved == []
    for part in ALL:
        assert f"training of {part}: not one number of it changed" in found.missed
        assert f"a change of {part} in korra.safetensors: there is none" in found.missed


@pytest.mark.parametrize("name", PART_OF)
def test_only_the_part_that_training_changed_is_said_to_be(
    name: str, run: Run, preset: Preset
) -> None:
    change(run.stages[1].output, name)
    found = proof.of(run, preset, ALL)
    part = PART_OF[name]
    assert about(found, "training changed")[0] == [
        f"training changed: {part} by 1 (norm of the change)"
    ]
    missed = {each for each in ALL if any(f"training of {each}:" in x for x in found.missed)}
    assert missed == set(ALL) - {part}


def test_a_part_that_is_not_to_be_trained_is_not_missed(run: Run, preset: Preset) -> None:
    assert not about(proof.of(run, preset, ("text encoder 1",)), "U-Net")[1]


def test_a_change_in_the_lora_that_training_did_not_make_is_called_rounding(
    run: Run, preset: Preset
) -> None:
    for part in ("unet", "te1"):
        halves = (f"lora_{part}_a.lora_{half}.weight" for half in ("up", "down"))
        change(run.product, *halves, f"lora_{part}_a.alpha")
    change(run.stages[1].output, next(name for name, part in PART_OF.items() if part == ALL[1]))
    proved, missed = about(proof.of(run, preset, ALL[1:]), "korra.safetensors")
    assert len(proved) == 1
    assert "text encoder 1 (1 module) by" in proved[0]
    assert "U-Net" not in proved[0]
    assert any("changes U-Net by" in line and "rounding" in line for line in missed)


@pytest.mark.parametrize(
    ("used", "count", "missed"),
    [
        (CONFIG, 3, None),
        (CONFIG | {"no_half_vae": None}, 3, None),
        (CONFIG | {"learning_rate": 2e-6}, 2, "learning_rate: it is 1e-06, but the script used"),
        (CONFIG | {"no_half_vae": True}, 2, "no_half_vae: it is False, but the script used True"),
        ({"learning_rate": 1e-6, "no_half_vae": False}, 2, "train_text_encoder: the script does"),
    ],
)
def test_settings_are_counted_by_what_the_script_had_at_its_end(
    used: dict[str, Any], count: int, missed: str | None, run: Run, preset: Preset
) -> None:
    observe(run, "sdxl_train", options=used)
    found = proof.of(run, preset, ALL)
    assert f"sdxl_train.py used {count} of 3 settings as they are written" in found.proved
    assert [missed in line for line in about(found, "the script")[1]] == ([True] if missed else [])


def test_the_tools_settings_are_measured_each_by_its_own_script(run: Run, preset: Preset) -> None:
    observe(run, "extract_lora_from_models", options={"dim": 4, "sdxl": True})
    observe(run, "resize_lora", options={"new_rank": 4})
    found = proof.of(run, preset, ALL)
    assert "extract_lora_from_models.py used 2 of 2 settings as they are written" in found.proved
    assert "resize.new_rank: it is 2, but the script used 4" in found.missed


@pytest.mark.parametrize(
    ("seen", "proved", "missed"),
    [
        (slice(0, 3), "training read 3 of 3", False),
        (slice(0, 2), "training read 2 of 3", False),
        (slice(0, 0), None, True),
    ],
)
@pytest.mark.parametrize("what", ["images", "captions"])
def test_what_was_read_is_counted_against_what_was_given(
    what: str, seen: slice, proved: str | None, missed: bool, run: Run, preset: Preset
) -> None:
    files = sorted((run.folder / "data").glob("*.png" if what == "images" else "*.txt"))
    read = [str(f) if what == "images" else f.read_text("utf-8") for f in files]
    observe(run, "sdxl_train", **{what: [*read[seen], "something else"]})
    found = about(proof.of(run, preset, ALL), what)
    assert found[0] == ([f"{proved} {what}"] if proved else [])
    assert bool(found[1]) is missed


@pytest.mark.parametrize("log", ["", "steps:   0%|   | 0/12 [00:00<?, ?it/s]\r"])
def test_steps_are_counted_from_the_trainers_own_bar(
    log: str, run: Run, preset: Preset, bar: Callable[[int], str]
) -> None:
    run.stages[1].launch.log.write_text(f"{log}{bar(11)}{bar(12)}\nother: {bar(40)}", "utf-8")
    assert "training took 12 of 12 steps" in proof.of(run, preset, ALL).proved


@pytest.fixture
def bar() -> Callable[[int], str]:
    return lambda done: f"steps: 90%|## | {done}/12 [00:01<00:01, 4.50it/s, avr_loss=0.2]\r"
