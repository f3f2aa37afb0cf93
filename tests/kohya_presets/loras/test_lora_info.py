from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from kohya_presets import problems
from kohya_presets.errors import UserError
from kohya_presets.loras import claims, difference, info
from kohya_presets.loras.told import difference_text, info_text
from tests import lora_files, tensors
from tests.lora_files import TE1, TE2, UNET, UNET_CONTEXT


def test_ranks_alphas_and_norms_are_told_by_block(tmp_path: Path) -> None:
    made = lora_files.whole(4)
    # rank 1 with a closed form: |u d| = |u| |d| = 3 * 5, halved by alpha / rank... of rank 2
    up, down = np.zeros((12, 2)), np.zeros((2, 10))
    up[0, 0], down[0, 0] = 3, 5
    made |= lora_files.halves(TE1, up, down, alpha=1)
    found = info.of(lora_files.write(tmp_path / "a.safetensors", made))
    blocks = {block.name: block for block in found.blocks}
    assert list(blocks) == ["input_blocks_4", "middle_block", "te1 layer 0", "te2 layer 11"]
    assert (blocks["te1 layer 0"].ranks, blocks["te1 layer 0"].alphas) == ((2,), (1,))
    assert blocks["te1 layer 0"].norm == pytest.approx(7.5)
    assert [part.name for part in found.parts] == ["U-Net", "text encoder 1", "text encoder 2"]
    norms = [part.norm**2 for part in found.parts]
    assert found.all.norm == pytest.approx(sum(norms) ** 0.5)
    assert (found.rank, found.all.ranks, found.shapes_of) == (4, (2, 4), "SDXL")


def test_the_hash_is_of_what_follows_the_header(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "a.safetensors", lora_files.whole(), {"k": "v"})
    content = file.read_bytes()
    data = content[8 + int.from_bytes(content[:8], "little") :]
    assert info.of(file).data_sha256 == hashlib.sha256(data).hexdigest()


def test_diffusers_names_are_told_as_ours(tmp_path: Path) -> None:
    stem = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"
    made = {f"{stem}.lora_A.weight": np.ones((2, 6)), f"{stem}.lora_B.weight": np.ones((8, 2))}
    found = info.of(lora_files.write(tmp_path / "a.safetensors", made))
    assert [block.name for block in found.blocks] == ["input_blocks_4"]
    assert found.all.alphas == ()
    assert found.all.norm == pytest.approx(2 * (8 * 6) ** 0.5)


def test_the_text_is_a_table_with_everything_in_it(tmp_path: Path) -> None:
    made = {
        **lora_files.halves(UNET, np.full((4, 1), 1.0), np.full((1, 9), 1.0), alpha=1),
        **lora_files.halves(TE2, np.full((2, 2), 1.0), np.full((2, 2), 1.0), alpha=2),
    }
    metadata = {"ss_base_model_version": "sdxl_base_v1-0", "ss_tag_frequency": "tag, " * 100}
    file = lora_files.write(tmp_path / "a.safetensors", made, metadata)
    lines = info_text.text(info.of(file), ()).splitlines()
    assert lines == [
        f"a.safetensors: rank 1 to 2, fp64, {file.stat().st_size / 1e6:.1f} MB",
        "  made for  sdxl_base_v1-0; model not recognized from shapes",
        "  modules   U-Net 1, text encoder 2 1",
        "  norm      7.211 (total weight change)",
        "",
        "block              modules      rank     alpha       norm   squared",
        "input_blocks_4           1         1         1          6     69.2%",
        "te2 layer 11             1         2         2          4     30.8%",
        "U-Net                    1         1         1          6     69.2%",
        "text encoder 2           1         2         2          4     30.8%",
        "all                      2    1 to 2    1 to 2      7.211    100.0%",
        "",
        "The file matches its name and metadata.",
        "",
        "metadata",
        "  ss_base_model_version: sdxl_base_v1-0",
        "  ss_tag_frequency: " + ("tag, " * 15)[:71] + "…",
    ]


def test_json_has_every_module(tmp_path: Path) -> None:
    file = lora_files.write(tmp_path / "a.safetensors", lora_files.whole(4))
    found = json.loads(json.dumps(info_text.values(info.of(file), ())))
    assert [m["name"] for m in found["modules"]] == [UNET, UNET_CONTEXT, TE1, TE2]
    assert found["modules"][0]["shape"] == [24, 20]
    assert (found["rank"], found["problems"]) == (4, [])


def hostile(folder: Path, name: str) -> Path:
    file = folder / f"{name}.safetensors"
    if name == "empty":
        file.write_bytes(b"")
    elif name == "text":
        file.write_bytes(b"this is no safetensors file, whatever its name says")
    elif name == "cut":
        tensors.write(file, tensors.lora(), cut=10)
    elif name == "odd":
        text = b'{"a": {"dtype": "F16", "shape": 7, "data_offsets": [0, 2]}}'
        file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(2))
    elif name == "backwards":
        text = b'{"a": {"dtype": "F16", "shape": [1], "data_offsets": [-2, 0]}}'
        file.write_bytes(len(text).to_bytes(8, "little") + text)
    elif name == "checkpoint":
        tensors.write(file, tensors.SDXL)
    return file


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "No such file"),
        ("empty", "is empty"),
        ("text", "is not a safetensors file"),
        ("cut", "is incomplete"),
        ("odd", "has no readable safetensors header"),
        ("backwards", "has no readable safetensors header"),
        ("checkpoint", "expected a LoRA, .* is an SDXL checkpoint"),
    ],
)
def test_a_hostile_file_is_a_clear_error(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        info.of(hostile(tmp_path, name))


EVIL = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202e"


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    made = lora_files.whole(4) | {f"lora_unet_x{EVIL}\n.w_norm": np.ones(3, "float32")}
    made |= lora_files.halves(f"evil{EVIL}", np.ones((4, 1)), np.ones((1, 4)))
    metadata = {
        f"key{EVIL}\nline": f"value{EVIL}",
        "ss_base_model_version": f"sd{EVIL}",
        "modelspec.architecture": EVIL,
        "ss_network_dim": "8" + " " * 3,
        "ss_network_args": json.dumps({"conv_dim": EVIL}),
    }
    file = lora_files.write(tmp_path / "a.safetensors", made, metadata)
    other = lora_files.write(tmp_path / "b.safetensors", lora_files.whole(4))
    found = info.of(file)
    told = info_text.text(found, claims.of(found))
    told += difference_text.text(difference.between(file, other))
    told += "".join(map(problems.paragraph, claims.of(found)))
    assert "\\x1b]0;owned\\x07\\x1b[2J\\r\\x9b31m\\u202e" in told
    assert not [c for c in told if c != "\n" and unicodedata.category(c) in ("Cc", "Cf")]
    assert "\nline" not in told


def test_control_characters_do_not_come_with_an_error(tmp_path: Path) -> None:
    lone = {f"evil{EVIL}.lora_down.weight": np.ones((1, 4))}
    with pytest.raises(UserError, match=r"evil\\x1b") as caught:
        info.of(lora_files.write(tmp_path / "a.safetensors", lora_files.whole(4) | lone))
    assert not [c for c in str(caught.value) if unicodedata.category(c) in ("Cc", "Cf")]
