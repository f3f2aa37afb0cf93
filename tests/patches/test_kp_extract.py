"""Extraction from two checkpoints: what is in the file, what is reported, what is refused."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
from patches.fast_lora import kp_extract  # noqa: E402

UNET = "model.diffusion_model."
BLOCK = f"{UNET}input_blocks.4.1.transformer_blocks.0."
TEXT_1 = "conditioner.embedders.0.transformer.text_model.encoder.layers.0."
TEXT_2 = "conditioner.embedders.1.model.transformer.resblocks.0."
SHAPES = {
    f"{UNET}input_blocks.4.1.proj_in.weight": (40, 40),
    f"{BLOCK}attn1.to_q.weight": (40, 40),
    f"{BLOCK}attn1.to_out.0.weight": (40, 40),
    f"{BLOCK}ff.net.0.proj.weight": (320, 40),
    f"{BLOCK}ff.net.2.weight": (40, 160),
    f"{BLOCK}norm1.weight": (40,),
    f"{UNET}input_blocks.4.0.in_layers.2.weight": (40, 20, 3, 3),
    f"{UNET}input_blocks.4.0.skip_connection.weight": (40, 20, 1, 1),
    f"{UNET}input_blocks.4.0.emb_layers.1.weight": (40, 80),
    f"{UNET}out.2.weight": (4, 20, 3, 3),
    f"{TEXT_1}self_attn.q_proj.weight": (24, 24),
    f"{TEXT_1}mlp.fc1.weight": (96, 24),
    f"{TEXT_2}attn.in_proj_weight": (96, 32),
    f"{TEXT_2}attn.out_proj.weight": (32, 32),
    f"{TEXT_2}mlp.c_fc.weight": (128, 32),
    "first_stage_model.encoder.conv_in.weight": (8, 3, 3, 3),
}
LINEAR = {
    "lora_unet_input_blocks_4_1_proj_in",
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_out_0",
    "lora_unet_input_blocks_4_1_transformer_blocks_0_ff_net_0_proj",
    "lora_unet_input_blocks_4_1_transformer_blocks_0_ff_net_2",
    "lora_te1_text_model_encoder_layers_0_self_attn_q_proj",
    "lora_te1_text_model_encoder_layers_0_mlp_fc1",
    "lora_te2_text_model_encoder_layers_0_self_attn_q_proj",
    "lora_te2_text_model_encoder_layers_0_self_attn_k_proj",
    "lora_te2_text_model_encoder_layers_0_self_attn_v_proj",
    "lora_te2_text_model_encoder_layers_0_self_attn_out_proj",
    "lora_te2_text_model_encoder_layers_0_mlp_fc1",
}
CONVOLVING = {
    "lora_unet_input_blocks_4_0_in_layers_2",
    "lora_unet_input_blocks_4_0_skip_connection",
    "lora_unet_input_blocks_4_0_emb_layers_1",
}
CHANGED = {
    *(f"{UNET}input_blocks.4.1.proj_in.weight", f"{BLOCK}attn1.to_q.weight"),
    *(f"{BLOCK}attn1.to_out.0.weight", f"{BLOCK}ff.net.0.proj.weight", f"{BLOCK}ff.net.2.weight"),
    *(f"{TEXT_1}self_attn.q_proj.weight", f"{TEXT_1}mlp.fc1.weight"),
    *(f"{TEXT_2}attn.in_proj_weight", f"{TEXT_2}attn.out_proj.weight"),
    f"{TEXT_2}mlp.c_fc.weight",
}  # the weights of LINEAR
TO_Q = f"{BLOCK}attn1.to_q.weight"


@pytest.fixture(autouse=True)
def sd_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the module that sd-scripts hashes files with."""
    train_util = types.ModuleType("library.train_util")
    train_util.addnet_hash_safetensors = lambda f: hashlib.sha256(f.read()).hexdigest()  # type: ignore[attr-defined]
    train_util.addnet_hash_legacy = lambda f: "legacy"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "library.train_util", train_util)


class Bar:
    """A progress bar that shows nothing."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.done <= self.total

    def update(self, count: int) -> None:
        self.done += count


def svd(model_org: Any = None) -> None:
    """Stand for the stock script's function."""


SCRIPT = {
    "svd": svd,
    "tqdm": Bar,
    "sdxl_model_util": types.SimpleNamespace(MODEL_VERSION_SDXL_BASE_V1_0="sdxl_base_v1-0"),
    "sai_model_spec": types.SimpleNamespace(
        build_metadata=lambda *_, title: {"modelspec.title": title}
    ),
}


def pair(folder: Path, dtype: Any = None, **changes: Any) -> tuple[Path, Path]:
    """Write a base and a tuned checkpoint; `changes` replace or (None) leave out tuned weights."""
    from safetensors.torch import save_file

    dice = torch.Generator().manual_seed(0)
    base = {name: torch.randn(shape, generator=dice) for name, shape in SHAPES.items()}
    tuned = {
        name: weight + 1e-2 * torch.randn(weight.shape, generator=dice)
        for name, weight in base.items()
    }
    for name, weight in changes.get("tuned", {}).items():
        tuned.pop(name)
        tuned |= {} if weight is None else {name: base[name] if weight == "same" else weight}
    files = folder / "base ü.safetensors", folder / "tuned.safetensors"
    for file, tensors in zip(files, (base, tuned), strict=True):
        save_file({name: t.to(dtype or torch.float32) for name, t in tensors.items()}, file)
    return files


def arguments(files: tuple[Path, Path], save_to: Path, **given: Any) -> argparse.Namespace:
    """Return what the patched script's parser would."""
    values = {
        "sdxl": True,
        "v2": False,
        "v_parameterization": None,
        "model_org": str(files[0]),
        "model_tuned": str(files[1]),
        "save_to": str(save_to),
        "save_precision": None,
        "load_precision": None,
        "dim": [4],
        "conv_dim": None,
        "device": None,
        "clamp_quantile": None,
        "min_diff": None,
        "no_metadata": False,
    }
    return argparse.Namespace(**{**values, **given})


def extract(tmp_path: Path, files: tuple[Path, Path], **given: Any) -> dict[str, Any]:
    from safetensors.torch import load_file

    to = tmp_path / "out" / "lora.safetensors"
    assert kp_extract.extract(arguments(files, to, **given), SCRIPT)
    return load_file(to)


def modules(tensors: dict[str, Any]) -> set[str]:
    return {name.removesuffix(".alpha") for name in tensors if name.endswith(".alpha")}


def product(tensors: dict[str, Any], name: str) -> Any:
    up, down = (
        tensors[f"{name}.lora_{half}.weight"].flatten(1).double() for half in ("up", "down")
    )
    return up @ down


def difference(files: tuple[Path, Path], key: str) -> Any:
    from safetensors.torch import load_file

    base, tuned = (load_file(file)[key].double() for file in files)
    return (tuned - base).flatten(1)


def test_modules_and_keys(tmp_path: Path) -> None:
    tensors = extract(tmp_path, pair(tmp_path))
    assert modules(tensors) == LINEAR
    up = tensors["lora_unet_input_blocks_4_1_transformer_blocks_0_ff_net_0_proj.lora_up.weight"]
    assert up.shape == (320, 4)
    assert {float(t) for name, t in tensors.items() if name.endswith("alpha")} == {4.0}


def test_convolutions(tmp_path: Path) -> None:
    files = pair(tmp_path)
    tensors = extract(tmp_path, files, conv_dim=2)
    assert modules(tensors) == LINEAR | CONVOLVING
    name = "lora_unet_input_blocks_4_0_in_layers_2"
    assert tensors[f"{name}.lora_up.weight"].shape == (40, 2, 1, 1)
    assert tensors[f"{name}.lora_down.weight"].shape == (2, 20, 3, 3)
    pointwise = "lora_unet_input_blocks_4_0_skip_connection.lora_down.weight"
    assert tensors[pointwise].shape == (4, 20, 1, 1)
    change = difference(files, f"{UNET}input_blocks.4.0.in_layers.2.weight")
    assert_nearest(change, product(tensors, name), 2)


def assert_nearest(change: Any, found: Any, rank: int) -> None:
    values = torch.linalg.svdvals(change)
    least = float(values[rank:].norm())
    assert float((change - found).norm()) <= 1.001 * least + 3e-4 * float(values.norm())


@pytest.mark.parametrize("precision", [None, "float", "fp16", "bf16"])
@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
def test_the_change_is_met(tmp_path: Path, precision: str | None, stored: Any) -> None:
    files = pair(tmp_path, stored)
    tensors = extract(tmp_path, files, save_precision=precision, dim=[8])
    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision or "", torch.float32)
    assert {t.dtype for t in tensors.values()} == {dtype}
    if dtype != torch.bfloat16:
        name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
        assert_nearest(difference(files, TO_Q), product(tensors, name), 8)


def test_query_key_and_value_are_told_apart(tmp_path: Path) -> None:
    files = pair(tmp_path)
    tensors = extract(tmp_path, files)
    change = difference(files, f"{TEXT_2}attn.in_proj_weight")
    for letter, part in zip("qkv", change.chunk(3), strict=True):
        name = f"lora_te2_text_model_encoder_layers_0_self_attn_{letter}_proj"
        assert_nearest(part, product(tensors, name), 4)


def test_several_ranks_in_one_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file

    files = pair(tmp_path)
    first = extract(tmp_path, files, dim=[8, 4, 2])
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["lora-dim2.safetensors", "lora-dim4.safetensors", "lora.safetensors"]
    two = load_file(tmp_path / "out" / "lora-dim2.safetensors")
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    assert len(first[f"{name}.lora_down.weight"]) == 8
    assert_nearest(difference(files, TO_Q), product(two, name), 2)
    assert "U-Net: " in capsys.readouterr().out


def test_the_metadata(tmp_path: Path) -> None:
    from safetensors import safe_open

    extract(tmp_path, pair(tmp_path), conv_dim=2)
    with safe_open(tmp_path / "out" / "lora.safetensors", "pt") as opened:
        metadata = opened.metadata()
    hashes = {metadata.pop("sshs_model_hash"), metadata.pop("sshs_legacy_hash")}
    assert len(hashes) == 2
    assert json.loads(metadata.pop("ss_network_args")) == {"conv_dim": "2", "conv_alpha": "2.0"}
    assert metadata == {
        "ss_v2": "False",
        "ss_base_model_version": "sdxl_base_v1-0",
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_network_alpha": "4.0",
        "modelspec.title": "lora",
    }


def test_the_file_is_as_safetensors_would_write_it(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    extract(tmp_path, pair(tmp_path), save_precision="bf16")
    ours = (tmp_path / "out" / "lora.safetensors").read_bytes()
    save_file(load_file(tmp_path / "out" / "lora.safetensors"), tmp_path / "again")
    theirs = (tmp_path / "again").read_bytes()
    starts = [8 + int.from_bytes(data[:8], "little") for data in (ours, theirs)]
    assert starts[0] % 8 == 0
    assert ours[starts[0] :] == theirs[starts[1] :]


def test_what_did_not_change_has_no_module(tmp_path: Path) -> None:
    files = pair(tmp_path, tuned={TO_Q: "same"})
    left_out = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    assert modules(extract(tmp_path, files)) == LINEAR - {left_out}


def test_with_min_diff_text_encoders_stay_or_go_together(tmp_path: Path) -> None:
    files = pair(tmp_path, tuned={TO_Q: "same", f"{TEXT_1}mlp.fc1.weight": "same"})
    assert modules(extract(tmp_path, files, min_diff=1e-6)) == LINEAR
    texts = {name for name in LINEAR if not name.startswith("lora_unet_")}
    assert modules(extract(tmp_path, files, min_diff=1.0)) == LINEAR - texts


def test_a_part_that_is_kept_without_any_change_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unet: dict[str, Any] = {name: "same" for name in SHAPES if name.startswith(UNET)}
    assert modules(extract(tmp_path, pair(tmp_path, tuned=unet), min_diff=1e-6)) == LINEAR
    assert "U-Net: no change\n" in capsys.readouterr().out


def test_clamping_only_when_asked_for(tmp_path: Path) -> None:
    files = pair(tmp_path)
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    free, clamped = (extract(tmp_path, files, clamp_quantile=q) for q in (None, 0.9))
    both = [
        torch.cat([t[f"{name}.lora_{h}.weight"].flatten() for h in ("up", "down")])
        for t in (free, clamped)
    ]
    limit = torch.quantile(both[0], 0.9)
    assert torch.allclose(both[1].abs().max(), limit, rtol=1e-5)
    assert both[0].abs().max() > limit


def refused(tmp_path: Path, files: tuple[Path, Path], **given: Any) -> str:
    """Return what is said; nothing may be left behind."""
    to = tmp_path / "out" / "lora.safetensors"
    with pytest.raises(SystemExit) as stopped:
        kp_extract.extract(arguments(files, to, **given), SCRIPT)
    assert not to.parent.exists() or not list(to.parent.iterdir())
    return str(stopped.value.code)


def test_what_is_refused(tmp_path: Path) -> None:
    bad = torch.randn(40, 40)
    bad[3, 3] = float("nan")
    assert TO_Q in refused(tmp_path, pair(tmp_path, tuned={TO_Q: bad}))
    said = refused(tmp_path, pair(tmp_path, tuned={TO_Q: torch.randn(40, 41)}))
    assert TO_Q in said
    assert "(40, 40) and (40, 41)" in said
    assert TO_Q in refused(tmp_path, pair(tmp_path, tuned={TO_Q: None}))
    texts = {name: None for name in SHAPES if name.startswith(TEXT_1)}
    said = refused(tmp_path, pair(tmp_path, tuned=texts))
    assert "no first text encoder" in said
    everything: dict[str, Any] = dict.fromkeys(SHAPES, "same")
    assert "the same weights" in refused(tmp_path, pair(tmp_path, tuned=everything))
    assert "expected ranks of 1 or more" in refused(tmp_path, pair(tmp_path), dim=[0])


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path)
    whole = tuned.read_bytes()
    tuned.write_bytes(whole[:-1000])
    assert "is cut short" in refused(tmp_path, (base, tuned))
    for junk in (b"", b"PK\x03\x04" + bytes(100), whole[:50]):
        tuned.write_bytes(junk)
        assert "no safetensors file" in refused(tmp_path, (base, tuned))
    assert "No such file" in refused(tmp_path, (base, tmp_path / "gone.safetensors"))


@pytest.mark.parametrize(
    ("given", "script"),
    [
        ({"sdxl": False}, SCRIPT),
        ({"model_tuned": "old.ckpt"}, SCRIPT),
        ({"save_to": "lora.pt"}, SCRIPT),
        ({}, {"svd": svd}),
    ],
    ids=["not SDXL", "a pickle", "to a pickle", "another script"],
)
def test_the_rest_is_left_to_the_stock_script(
    tmp_path: Path, given: dict[str, Any], script: dict[str, Any]
) -> None:
    args = arguments((Path("a.safetensors"), Path("b.safetensors")), tmp_path / "c.safetensors")
    vars(args).update(given)
    assert not kp_extract.extract(args, script)
    assert (args.dim, args.clamp_quantile, args.min_diff) == (4, 0.99, 0.01)


def test_the_parser_takes_several_ranks_and_tells_what_is_given() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dim", type=int, default=4)
    parser.add_argument("--min_diff", type=float, default=0.01)
    kp_extract.add_arguments(parser)
    expected = argparse.Namespace(dim=4, min_diff=None, round_base=False)
    assert parser.parse_args([]) == expected
    found = parser.parse_args(["--dim", "8", "4", "--min_diff=1e-6", "--round_base"])
    assert found == argparse.Namespace(dim=[8, 4], min_diff=1e-6, round_base=True)


def in_two_formats(folder: Path, base: Any, tuned: Any, trained: float = 1e-3) -> tuple[Path, Path]:
    """Write a base and, in another format, a tuned model of which only TO_Q was trained."""
    from safetensors.torch import load_file, save_file

    files = pair(folder, base)
    made = load_file(files[0])
    save_file({n: (t.float() + trained * (n == TO_Q)).to(tuned) for n, t in made.items()}, files[1])
    return files


FORMATS = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}


@pytest.mark.parametrize(
    ("base", "tuned"),
    [
        (torch.float16, torch.bfloat16),
        (torch.float32, torch.float16),
        (torch.float32, torch.bfloat16),
    ],
)
def test_rounding_is_told_and_left_out_if_asked_for(
    tmp_path: Path, base: Any, tuned: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import load_file

    files = in_two_formats(tmp_path, base, tuned, trained=0.25)
    one, other = (load_file(file) for file in files)
    keys = [n for n in one if n in CHANGED]
    norms = [
        torch.cat([part(one[n], other[n]).double().flatten() for n in keys]).norm()
        for part in (
            lambda b, t: t.double() - b.double(),
            lambda b, t: b.to(t.dtype).double() - b.double(),
            lambda b, t: t.double() - b.to(t.dtype).double(),
        )
    ]
    assert modules(extract(tmp_path, files)) == LINEAR  # rounded, each of them
    said = capsys.readouterr().out
    line = (
        f"  the base is stored as {FORMATS[base]}, the tuned model as {FORMATS[tuned]}: norm of "
        f"the difference {norms[0]:.3g}, of rounding the base to {FORMATS[tuned]} {norms[1]:.3g}, "
        f"of the difference without it {norms[2]:.3g}; "
    )
    assert line + "to leave it out, add --round_base\n" in said
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q"
    found = extract(tmp_path, files, round_base=True)
    assert modules(found) == {name}
    assert_nearest((other[TO_Q].double() - one[TO_Q].to(tuned).double()), product(found, name), 4)
    assert line + "--round_base left it out\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("base", "tuned"),
    [
        (torch.float16, torch.float16),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
)
def test_formats_that_round_nothing_are_not_spoken_of(
    tmp_path: Path, base: Any, tuned: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    files = in_two_formats(tmp_path, base, tuned, trained=0.25)
    found = [extract(tmp_path, files, round_base=rounded) for rounded in (False, True)]
    assert "stored as" not in capsys.readouterr().out
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_nothing_but_rounding_is_no_lora(tmp_path: Path) -> None:
    files = in_two_formats(tmp_path, torch.float16, torch.bfloat16, trained=0)
    said = refused(tmp_path, files, round_base=True)
    assert said.endswith(f"has the same weights as {files[0]} rounded to its format")


def test_rounding_is_not_promised_where_the_stock_script_extracts() -> None:
    args = arguments((Path("a.ckpt"), Path("b.ckpt")), Path("c.safetensors"), round_base=True)
    with pytest.raises(SystemExit, match="--round_base works only with --sdxl"):
        kp_extract.extract(args, SCRIPT)
