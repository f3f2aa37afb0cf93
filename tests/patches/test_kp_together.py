"""Two processes of one training, which gloo connects, go on as one, or say why they cannot."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
pytest.importorskip("accelerate", reason="accelerate is not installed: pip install -e '.[test]'")
from patches.adacoor import kp_adacoor
from patches.ema import kp_ema
from patches.fused_step import kp_fused
from patches.resume import kp_position, kp_resume, kp_states
from wrapper.system import proc

pytestmark = [
    pytest.mark.trainer,
    pytest.mark.xdist_group("together"),
    pytest.mark.skipif(os.name != "posix", reason="torch has no gloo launcher for two there"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what each of two processes found."""
    folder = tmp_path_factory.mktemp("together")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    proc.run(
        (sys.executable, *launcher, Path(__file__).with_name("two_ranks.py"), folder),
        env={"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": ""},
    )
    return [json.loads((folder / f"found-{rank}.json").read_text("utf-8")) for rank in (0, 1)]


def test_both_go_on_after_any_step_as_if_nothing_had_been(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["going on"].pop("steps") == 6  # of 3 batches each in an epoch, two by two
        assert len(each["going on"]) == 2 + 8 + 5
        assert all(each["going on"].values()), each["going on"]


def test_a_state_that_the_first_alone_saves_is_continued_by_both(
    found: list[dict[str, Any]],
) -> None:
    for each in found:
        own = each["own"]
        assert own["2"]
        assert own["4"]
        files = ["kp_generators-0.safetensors", "kp_generators-1.safetensors", "kp_resume.json"]
        assert own["files 2"] == own["files 4"] == files
    words = "it will not be exactly the same training: log lines of its run drew"
    assert words in found[0]["own"]["said"]
    words = "in process 1, the random numbers of this process are not in the state"
    assert words in found[0]["own"]["said"]


def test_a_state_that_one_cannot_write_ends_the_training_of_none(
    found: list[dict[str, Any]],
) -> None:
    for each in found:
        assert each["full"]["same"]
        assert each["full"]["left"] == []
    words = "could not be saved, training goes on: [Errno 28] No space left on device"
    assert words in found[0]["full"]["said"]


def test_they_must_see_the_same_states(found: list[dict[str, Any]]) -> None:
    for each in found:
        states, folders = each["disagreeing"]["states"], each["disagreeing"]["folders"]
        assert states.startswith("ValueError: process 0 continues from the state 'step00000003', ")
        assert "process 1 from 'step00000004'" in states
        assert folders.startswith("ValueError: not every machine sees the folder of states: ")


def test_what_does_not_compile_in_one_is_not_used_in_any(found: list[dict[str, Any]]) -> None:
    assert [each["compiled"] for each in found] == [
        {"alone": True, "together": False},
        {"alone": False, "together": False},
    ]


def test_a_signal_to_one_stops_both_once_the_state_is_whole(found: list[dict[str, Any]]) -> None:
    assert [each["stopping"] for each in found] == [{"code": 85, "whole": True}] * 2


def test_a_state_is_for_as_many_processes_as_saved_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kp_states.make(tmp_path / "step00000007")
    position = kp_position.Position(7, 1, 2, False, setting={"processes": 2, "quiet": True})
    kp_states.write(tmp_path / "step00000007", position.manifest())
    args = options(kp_resume, resume=str(tmp_path), seed=1)
    with pytest.raises(ValueError, match="saved by a training of 2 processes, and this one has 1"):
        kp_resume.begin(args)
    monkeypatch.setenv("WORLD_SIZE", "2")
    kp_resume.begin(args)


def options(module: Any, **given: Any) -> argparse.Namespace:
    """Return the options of a patch, with those that sd-scripts' scripts have."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    own = vars(parser.parse_args([]))
    usual = {"output_dir": None, "output_name": None, "resume": None, "save_state": False}
    usual |= {"seed": 1, "optimizer_type": "AdaCoor", "mixed_precision": "no"}
    return argparse.Namespace(**{**usual, **own, **given})


@pytest.mark.parametrize("way", ["DEEPSPEED", "FSDP", "MEGATRON_LM", "TP", "--deepspeed"])
def test_weights_that_are_spread_over_processes_are_refused_by_each_patch(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"deepspeed": way == "--deepspeed"}
    if not given["deepspeed"]:
        monkeypatch.setenv(f"ACCELERATE_USE_{way}", "true")
    said = "--deepspeed" if given["deepspeed"] else "accelerate's "
    with pytest.raises(ValueError, match=f"--enable_ema does not work with {said}"):
        kp_ema.check(options(kp_ema, enable_ema=True, **given))
    kp_ema.check(options(kp_ema, **given))
    with pytest.raises(ValueError, match=f"AdaCoor does not work with {said}"):
        kp_adacoor.check(argparse.Namespace(**given), {})
    with pytest.raises(ValueError, match=said):
        kp_resume.begin(options(kp_resume, state_every_minutes=5.0, **given))
    left_alone = kp_resume.begin(options(kp_resume, save_state=True, **given))
    assert isinstance(left_alone, kp_resume.Off)  # its states are sd-scripts' own business
    for option in ("fused_backward_pass", "stochastic_rounding"):
        with pytest.raises(ValueError, match=f"--{option} does not work with {said}"):
            kp_fused.begin(options(kp_fused, **{option: True}, **given))
    kp_fused.begin(options(kp_fused, **given))


def test_what_would_differ_between_processes_is_refused_with_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_chance = {"stochastic_rounding": True}
    kp_adacoor.check(argparse.Namespace(), by_chance)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="patch fused-step, which rounds alike in all"):
        kp_adacoor.check(argparse.Namespace(), by_chance)
    kp_adacoor.check(argparse.Namespace(), {"epsilon": 1e-8})
    kp_fused.begin(options(kp_fused, stochastic_rounding=True))
    monkeypatch.setattr(kp_fused, "ADAFACTOR", Path(__file__))  # as from v0.9.0 on
    for optimizer in ("AdaCoor", "AdamW", "Adafactor"):
        with pytest.raises(ValueError, match="does not work with several processes"):
            kp_fused.begin(options(kp_fused, fused_backward_pass=True, optimizer_type=optimizer))
