"""The stand-in's scripts really train, extract and resize, in sd-scripts' order of events."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.loras import summary
from tests import tensors
from tests.usually import usually
from tests.wrapper.rehearsal.standin.bench import Bench
from wrapper.system.proc import Result

pytestmark = [
    pytest.mark.trainer,
    pytest.mark.xdist_group("stand-in"),  # they share one training
]
every_release = pytest.mark.every_release
NORMS = ("layer_norm", ".ln_", ".norm", "ln_final", "out.0.", "logit_scale", "first_stage")


def modules(file: Path) -> Counter[str]:
    """Return how many modules a LoRA has for each of SDXL's models."""
    names = header(file)
    return Counter(n.split("_")[1] for n in names if n.endswith(".lora_down.weight"))


def ranks(file: Path) -> set[int]:
    found = header(file).items()
    return {t["shape"][0] for name, t in found if name.endswith(".lora_down.weight")}


def header(file: Path) -> dict[str, Any]:
    read = file.read_bytes()
    end = 8 + int.from_bytes(read[:8], "little")
    found: dict[str, Any] = json.loads(read[8:end])
    return found


def metadata(file: Path) -> dict[str, str]:
    found: dict[str, str] = header(file)["__metadata__"]
    return found


def last_step(result: Result) -> str:
    """Return what the bar said of its steps last: "12/12"."""
    bars = [part for part in result.stderr.replace("\r", "\n").splitlines() if "steps:" in part]
    return bars[-1].split("|")[2].split()[0]


def test_the_whole_chain_ends_in_rank_16_for_all_three_models(extracted: Bench) -> None:
    full = extracted.folder / "lora.safetensors"
    assert modules(full) == {"unet": 24, "te1": 12, "te2": 12}
    assert ranks(full) == {48, 64}  # 512 was asked for: a matrix has no more than its smaller side
    small = extracted.resize("--new_rank=16", "--save_precision=fp16")
    assert modules(small) == modules(full)
    assert ranks(small) == {16}
    assert summary.describe(small).rank == 16
    said = metadata(small)
    assert said["ss_network_module"] == "networks.lora"
    assert (said["ss_network_dim"], said["ss_network_alpha"]) == ("16", "16.0")
    keys = {name.removesuffix(".alpha") for name in header(small) if name.endswith(".alpha")}
    for te in ("te1", "te2"):
        assert f"lora_{te}_text_model_encoder_layers_0_self_attn_q_proj" in keys
    assert "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q" in keys


def test_an_epoch_ends_with_a_step_even_where_accumulation_does_not_divide_it(
    trained: tuple[Bench, Result],
) -> None:
    _, said = trained
    assert last_step(said) == "12/12"
    assert "epoch 6/6" in said.stdout
    assert "avr_loss=" in said.stderr
    assert said.stdout.rstrip().endswith("model saved.")


def test_every_trained_matrix_moves(trained: tuple[Bench, Result]) -> None:
    bench, _ = trained
    before = tensors.contents(bench.folder / "base.safetensors")
    after = tensors.contents(bench.folder / "out/tuned.safetensors")
    assert before.keys() == after.keys()
    still = {name for name in before if before[name] == after[name]}
    assert {n for n in still if n.endswith("weight") and not any(x in n for x in NORMS)} == set()
    assert all(name in still for name in before if name.startswith("first_stage_model."))


def test_a_large_min_diff_leaves_both_text_encoders_out(trained: tuple[Bench, Result]) -> None:
    bench, _ = trained
    assert modules(bench.extract("--min_diff=0.5", to="less.safetensors")) == {"unet": 24}


@every_release
def test_convolutions_take_part_where_conv_dim_is_given(trained: tuple[Bench, Result]) -> None:
    bench, _ = trained
    full = bench.extract("--min_diff=1e-6", "--conv_dim=32", to="full.safetensors")
    assert modules(full)["unet"] == 27
    small = bench.resize("--new_rank=16", "--new_conv_rank=8", lora="full.safetensors")
    shapes = {name: t["shape"] for name, t in header(small).items() if "shape" in t}
    assert shapes["lora_unet_input_blocks_1_0.lora_down.weight"] == [8, 64, 3, 3]
    assert shapes["lora_unet_input_blocks_1_0.lora_up.weight"] == [64, 8, 1, 1]


@pytest.mark.parametrize(
    ("method", "param"),
    usually([("sv_ratio", "3"), ("sv_fro", "0.7"), ("sv_cumulative", "0.5")], [("sv_fro", "0.7")]),
)
def test_a_dynamic_resize_gives_layers_ranks_of_their_own(
    extracted: Bench, method: str, param: str
) -> None:
    options = ("--new_rank=32", f"--dynamic_method={method}", f"--dynamic_param={param}")
    small = extracted.resize(*options)
    assert len(ranks(small)) > 1
    assert max(ranks(small)) <= 32
    assert metadata(small)["ss_network_dim"] == "Dynamic"


@every_release
def test_text_encoders_that_were_not_trained_are_left_out(bench: Bench) -> None:
    bench.edit("config.toml", "train_text_encoder = true\n", "")
    bench.train("--max_train_epochs=1")
    assert modules(bench.extract("--min_diff=0")) == {"unet": 24}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--optimizer_type=Lion", "--learning_rate=1e-7"), id="Lion"),
        pytest.param(("--optimizer_type=adamw",), id="AdamW in lower case", marks=every_release),
        pytest.param(
            ("--optimizer_type=SGD", "--learning_rate=1e-2"), id="SGD", marks=every_release
        ),
        pytest.param(
            ("--optimizer_type=torch.optim.RMSprop", "--optimizer_args", "eps=1e-7"),
            id="by its class path",
            marks=every_release,
        ),
    ],
)
def test_other_optimizers_train_too(bench: Bench, options: tuple[str, ...]) -> None:
    bench.train("--max_train_epochs=1", *options)
    assert modules(bench.extract("--min_diff=0")) == {"unet": 24, "te1": 12, "te2": 12}


def test_an_8_bit_optimizer_is_refused(bench: Bench) -> None:
    result = bench.train("--optimizer_type=AdamW8bit", check=False)
    assert result.returncode != 0
    assert "AdamW8bit needs bitsandbytes" in result.stderr
    assert not (bench.folder / "out").exists()


def test_a_state_is_saved_and_resumed_and_a_sample_drawn(
    bench: Bench, trained: tuple[Bench, Result]
) -> None:
    (bench.folder / "prompts.txt").write_text("a disc\n", "utf-8")
    samples = ("--sample_prompts=prompts.txt", "--sample_every_n_epochs=1")
    bench.train("--max_train_epochs=2", "--save_every_n_epochs=1", "--save_state", *samples)
    out = bench.folder / "out"
    states = {p.name for p in out.glob("*-state")}
    assert states == {"tuned-000001-state", "tuned-state"}
    assert len(list((out / "sample").glob("*.png"))) == 2
    # Same seed, same weights: what `resume` makes again is what would have been made.
    first = "out/tuned-000001.safetensors"
    assert tensors.contents(bench.folder / first) == tensors.contents(trained[0].folder / first)
    said = bench.train("--max_train_epochs=1", "--resume=out/tuned-state")
    assert "out/tuned-state" in said.stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param("num_repeats", "num_repeat", "extra keys not allowed", id="unknown key"),
        pytest.param(
            "batch_size = 1",
            "batch_size = 1.0",
            "expected int",
            id="wrong type",
            marks=every_release,
        ),
    ],
)
def test_a_wrong_dataset_config_stops_the_training(
    bench: Bench, old: str, new: str, said: str
) -> None:
    bench.edit("dataset.toml", old, new)
    result = bench.train(check=False)
    assert result.returncode != 0
    assert said in result.stderr
    assert not (bench.folder / "out").exists()


@pytest.mark.parametrize("folder", usually(["empty", "not there"], ["empty"]))
def test_no_images_end_well_and_without_a_model_as_upstream(bench: Bench, folder: str) -> None:
    (bench.folder / "empty").mkdir()
    bench.edit("dataset.toml", '"images"', f'"{folder}"')
    assert "No data found" in bench.train().stdout
    assert not (bench.folder / "out").exists()
