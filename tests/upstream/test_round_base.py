"""A base rounded alike takes the rounding out of what the real extraction script extracts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kohya_presets.presets.catalogue import Catalogue
from tests.upstream.extracting import Scripts, modules, norm, product
from tests.upstream.training import Training
from tests.usually import usually
from wrapper.checkouts.checkout import Checkout
from wrapper.ranks.measure import Question, measure
from wrapper.screen.talk import Talk

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.upstream,
    pytest.mark.xdist_group("upstream"),  # they share one home
    pytest.mark.trainer,
    pytest.mark.every_release,
]
RELEASES = ["v0.8.7", "v0.10.1"]
# What "training" changes: a tensor of the U-Net, and one of a text encoder.
UNET = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"
TEXT = "conditioner.embedders.0.transformer.text_model.encoder.layers.3.mlp.fc1.weight"
CHANGED = {
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q": UNET,
    "lora_te1_text_model_encoder_layers_3_mlp_fc1": TEXT,
}
OPTIONS = ("--dim=16", "--save_precision=float", "--min_diff=1e-6", "--clamp_quantile=1")


def checkpoints(base: Path, folder: Path) -> dict[str, Path]:
    """Write the base in fp16, it trained in bf16, and the base rounded to bf16 as well."""
    from safetensors.torch import load_file, save_file

    dice = torch.Generator().manual_seed(1)
    org = {n: t.half() if t.is_floating_point() else t for n, t in load_file(base).items()}
    alike = {n: t.bfloat16() if t.is_floating_point() else t for n, t in org.items()}
    tuned = dict(alike)
    for name in CHANGED.values():
        rows, columns = org[name].shape
        change = torch.randn(rows, 2, generator=dice) @ torch.randn(2, columns, generator=dice)
        size = 0.05 * org[name].float().norm() / change.norm()
        tuned[name] = (org[name].float() + size * change).bfloat16()
    found = {}
    for called, tensors in (("org", org), ("tuned", tuned), ("alike", alike)):
        found[called] = folder / f"{called}.safetensors"
        save_file(tensors, found[called])
    return found


@pytest.mark.parametrize("release", usually(RELEASES, ["v0.10.1"]))
def test_a_base_rounded_alike_leaves_the_training_alone(
    release: str, upstream: Callable[[str], Checkout], shipped: Catalogue, tmp_path: Path
) -> None:
    upstream(release)
    scripts = Scripts(Training(shipped.load("skynet"), release, tmp_path / "runs"), tmp_path)
    files = checkpoints(scripts.base, tmp_path)

    def extracted(by: Path, base: str, *more: str) -> dict[str, Any]:
        models = (f"--model_org={files[base]}", f"--model_tuned={files['tuned']}")
        name = "-".join((base, *(word.strip("-") for word in more)))
        return read(scripts.made("extract", by, name, *models, *OPTIONS, *more))

    mixed, alike = (sizes(extracted(scripts.stock, base)) for base in ("org", "alike"))
    # The stock script takes rounding for training, in every module; not if the base is rounded.
    rounding = {n: size for n, size in mixed.items() if n not in CHANGED}
    assert len(rounding) > 100
    assert min(rounding.values()) > 0
    assert {n for n, size in alike.items() if size} == set(CHANGED)
    # The patch alone is as the stock script; with --round_base, as that with the base rounded.
    plain = sizes(extracted(scripts.fast, "org"))
    assert plain.keys() == mixed.keys()
    assert all(size == pytest.approx(mixed[name], rel=0.02) for name, size in plain.items())
    by_us, by_stock = (
        extracted(scripts.fast, "org", "--round_base"),
        extracted(scripts.stock, "alike"),
    )
    ours = sizes(by_us)
    assert ours.keys() == alike.keys()
    assert {name for name, size in ours.items() if size} == set(CHANGED)
    for name in CHANGED:
        whole = product(by_stock, name)
        assert norm(product(by_us, name) - whole) <= 0.01 * norm(whole), name
    # And `lora rank` sees no more than that changed.
    curves = [
        measure(Question(files["org"], files["tuned"], False, rounds, release, None, None), Talk())
        for rounds in (False, True)
    ]
    assert [len(curve.modules) for curve in curves] == [len(mixed), len(CHANGED)]
    found = {module.name: module.energy**0.5 for module in curves[1].modules}
    assert found == {name: pytest.approx(alike[name], rel=0.01) for name in CHANGED}


def sizes(tensors: dict[str, Any]) -> dict[str, float]:
    return {name: norm(product(tensors, name)) for name in modules(tensors)}


def read(file: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(file)
