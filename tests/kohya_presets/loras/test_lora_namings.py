"""One LoRA, as each program names it, reads as one.

The namings are those of sd-scripts v0.10.1 (networks/lora.py), PEFT and Diffusers (lora_A, and the
attention processors before them), OneTrainer (its three formats), ComfyUI (comfy/lora.py) and
LyCORIS.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kohya_presets.loras import claims, difference, info
from kohya_presets.loras.told import difference_text
from tests import lora_files
from tests.lora_files import Matrix

# Each layer's place: in the original model, in Diffusers' model; and its weight's shape.
_BLOCK = (
    "input_blocks.4.1.transformer_blocks.0.",
    "down_blocks.1.attentions.0.transformer_blocks.0.",
)
UNET = [
    (*(start + "attn1.to_q" for start in _BLOCK), (12, 10)),
    (*(start + "attn1.to_out.0" for start in _BLOCK), (12, 12)),
    (*(start + "attn2.to_k" for start in _BLOCK), (12, 2048)),
    (*(start + "ff.net.0.proj" for start in _BLOCK), (24, 12)),
    ("middle_block.1.proj_in", "mid_block.attentions.0.proj_in", (8, 9)),
    ("middle_block.2.out_layers.3", "mid_block.resnets.1.conv2", (8, 4, 3, 3)),
    ("output_blocks.2.2.conv", "up_blocks.0.upsamplers.0.conv", (6, 6, 3, 3)),
    ("input_blocks.3.0.op", "down_blocks.0.downsamplers.0.conv", (6, 6, 3, 3)),
    ("output_blocks.5.0.emb_layers.1", "up_blocks.1.resnets.2.time_emb_proj", (7, 11)),
    ("time_embed.2", "time_embedding.linear_2", (7, 7)),
    ("label_emb.0.0", "add_embedding.linear_1", (7, 8)),
    ("out.2", "conv_out", (4, 6, 3, 3)),
]
TEXT = [
    ("text_model.encoder.layers.0.mlp.fc1", (9, 8)),
    ("text_model.encoder.layers.3.self_attn.q_proj", (8, 8)),
    ("text_model.encoder.layers.3.self_attn.out_proj", (8, 8)),
]
RANK = 3

Naming = Callable[[str, str, str], str]  # of the part, and the place in both models
KOHYA = {"unet": "lora_unet", "te1": "lora_te1", "te2": "lora_te2"}
PIPELINE = {"unet": "unet", "te1": "text_encoder", "te2": "text_encoder_2"}


def flat(part: str, path: str) -> str:
    return f"{KOHYA[part]}_{path.replace('.', '_')}"


def comfy(part: str, original: str) -> str:
    starts = {
        "unet": "diffusion_model",
        "te1": "text_encoders.clip_l.transformer",
        "te2": "text_encoders.clip_g.transformer",
    }
    return f"{starts[part]}.{original}"


def old_diffusers(part: str, path: str) -> str:
    """Return the name before its ".down": attention processors, and to_q in text encoders."""
    path = path.removesuffix(".0").replace("q_proj", "to_q").replace("out_proj", "to_out")
    if "attn1." in path or "attn2." in path:
        path = path.replace(".to_", ".processor.to_")
    attention = ".to_" in path
    return f"{PIPELINE[part]}.{path}" + ("_lora" if attention else ".lora_linear_layer")


def one_trainer(part: str, original: str) -> str:
    return f"{({'unet': 'unet', 'te1': 'clip_l', 'te2': 'clip_g'})[part]}.{original}"


NAMINGS: dict[str, tuple[Naming, tuple[str, str]]] = {
    "kohya": (lambda p, o, d: flat(p, o), (".lora_down.weight", ".lora_up.weight")),
    "LoCon": (lambda p, o, d: flat(p, d), (".lora_down.weight", ".lora_up.weight")),
    "lycoris_": (
        lambda p, o, d: flat(p, d).replace("lora_unet_", "lycoris_"),
        (".lora_down.weight", ".lora_up.weight"),
    ),
    "PEFT": (
        lambda p, o, d: f"{PIPELINE[p]}.base_model.model.{d}",
        (".lora_A.default.weight", ".lora_B.default.weight"),
    ),
    "PEFT, outside": (
        lambda p, o, d: f"base_model.model.{PIPELINE[p]}.{d}",
        (".lora_A.weight", ".lora_B.weight"),
    ),
    "Diffusers": (lambda p, o, d: f"{PIPELINE[p]}.{d}", (".lora_A.weight", ".lora_B.weight")),
    "Diffusers 0.21": (
        lambda p, o, d: f"{PIPELINE[p]}.{d}",
        (".lora.down.weight", ".lora.up.weight"),
    ),
    "Diffusers 0.17": (lambda p, o, d: old_diffusers(p, d), (".down.weight", ".up.weight")),
    "OneTrainer": (lambda p, o, d: one_trainer(p, o), (".lora_down.weight", ".lora_up.weight")),
    "OneTrainer, Diffusers' way": (
        lambda p, o, d: f"{KOHYA[p]}.{d}",
        (".lora_down.weight", ".lora_up.weight"),
    ),
    "ComfyUI": (lambda p, o, d: comfy(p, o), (".lora_up.weight", ".lora_down.weight")[::-1]),
    "ComfyUI, A and B": (lambda p, o, d: comfy(p, o), (".lora_A.weight", ".lora_B.weight")),
    "ComfyUI, short": (
        lambda p, o, d: comfy(p, o).removeprefix("text_encoders."),
        (".lora_down.weight", ".lora_up.weight"),
    ),
}
EXTRA = {  # what belongs to no pair of matrices, by the layer's name
    "DoRA": ("dora_scale",),
    "PEFT's DoRA": ("lora_magnitude_vector",),
    "norm layers": ("w_norm", "b_norm"),
}


def layers() -> list[tuple[str, str, str, tuple[int, ...]]]:
    found = [("unet", *layer) for layer in UNET]
    found += [(part, path, path, shape) for part in ("te1", "te2") for path, shape in TEXT]
    return found


def made(naming: str) -> dict[str, Matrix]:
    name, (down_end, up_end) = NAMINGS.get(naming, NAMINGS["kohya"])
    dice = np.random.default_rng(0)
    tensors: dict[str, Matrix] = {}
    for part, original, diffusers, (rows, columns, *kernel) in layers():
        stem = name(part, original, diffusers)
        tensors[stem + up_end] = dice.normal(size=(rows, RANK, *(1 for _ in kernel)))
        tensors[stem + down_end] = dice.normal(size=(RANK, columns, *kernel))
        for end in EXTRA.get(naming, ()):
            tensors[f"{stem}.{end}"] = np.ones((rows, 1))
    return tensors


def file(folder: Path, naming: str) -> Path:
    return lora_files.write(folder / f"{naming}.safetensors", made(naming))


@pytest.mark.parametrize("naming", [*NAMINGS, *EXTRA])
def test_each_reads_as_one(naming: str, tmp_path: Path) -> None:
    expected, found = info.of(file(tmp_path, "kohya")), info.of(file(tmp_path, naming))
    assert [m.module.name for m in found.all.modules] == [
        m.module.name for m in expected.all.modules
    ]
    assert [part.name for part in found.parts] == ["U-Net", "text encoder 1", "text encoder 2"]
    assert (found.all.norm, found.shapes_of) == (pytest.approx(expected.all.norm), "SDXL")
    codes = {problem.code for problem in claims.of(found)} - {"lora-no-alpha"}
    assert codes == ({"lora-left-over", "lora-not-measured"} if naming in EXTRA else set())


def test_any_two_differ_by_nothing_or_it_is_said_what_is_not_compared(tmp_path: Path) -> None:
    files = [file(tmp_path, naming) for naming in (*NAMINGS, *EXTRA)]
    for a, b in itertools.combinations(files, 2):
        found = difference.between(a, b)
        assert found.lone == ((), ()), (a.stem, b.stem)
        assert found.all.distance <= 1e-12 * found.all.norm_a, (a.stem, b.stem)
        whole = a.stem in NAMINGS and b.stem in NAMINGS
        said = difference_text.text(found)
        assert ("make the same change" in said) == whole, (a.stem, b.stem)
        assert ("that are not compared" in said) != whole, (a.stem, b.stem)


def test_a_naming_that_is_not_known_is_not_compared_with_zero(tmp_path: Path) -> None:
    kohya = made("kohya")
    text = {name: t for name, t in kohya.items() if name.startswith("lora_te")}
    strange = {n.replace("lora_te", "encoder") if n in text else n: t for n, t in kohya.items()}
    files = [
        lora_files.write(tmp_path / f"{name}.safetensors", tensors)
        for name, tensors in (("a", kohya), ("b", strange))
    ]
    found = difference.between(*files)
    said = difference_text.text(found)
    assert [len(left.tensors) for left in found.left] == [len(text)] * 2
    assert "B has tensors that are not compared: 12 tensors (" in said
    assert (found.lone, [part.name for part in found.parts]) == (((), ()), ["U-Net"])
    assert found.all.distance <= 1e-12 * found.all.norm_a
    assert "same" not in said


def test_a_model_with_one_text_encoder_has_one_whoever_wrote_it(tmp_path: Path) -> None:
    up, down = np.ones((4, 2)), np.ones((2, 768))
    path = "text_model_encoder_layers_0_mlp_fc1"
    kohya = lora_files.halves("lora_unet_down_blocks_0_attentions_0_attn2_to_k", up, down)
    kohya |= lora_files.halves(f"lora_te_{path}", up, down)
    unet, text = (
        "unet.down_blocks.0.attentions.0.attn2.to_k",
        "text_encoder.text_model.encoder.layers.0.mlp.fc1",
    )
    diffusers = {
        f"{stem}.lora_{half}.weight": matrix
        for stem in (unet, text)
        for half, matrix in (("A", down), ("B", up))
    }
    found = difference.between(
        lora_files.write(tmp_path / "a.safetensors", kohya),
        lora_files.write(tmp_path / "b.safetensors", diffusers),
    )
    assert (found.lone, found.all.distance) == (((), ()), 0)


def test_a_missing_alpha_is_said_where_the_other_file_has_one(tmp_path: Path) -> None:
    stem = lora_files.UNET
    up, down = np.ones((4, 2)), np.ones((2, 6))
    found = difference.between(
        lora_files.write(tmp_path / "a.safetensors", lora_files.halves(stem, up, down, alpha=1)),
        lora_files.write(tmp_path / "b.safetensors", lora_files.halves(stem, up, down)),
    )
    assert "B has no alpha in 1 module: the rank is used instead." in difference_text.text(found)
