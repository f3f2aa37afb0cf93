"""A LoRA whose metadata `card` has rewritten loads as before, in sd-scripts and in Diffusers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kohya_presets.loras import weights
from kohya_presets.sdscripts import releases
from tests import tensors
from tests.upstream import asking
from tests.upstream.conftest import Rehearsed
from wrapper.checkouts.checkout import Checkout
from wrapper.cli import cli

pytestmark = [pytest.mark.upstream, pytest.mark.trainer, pytest.mark.xdist_group("upstream")]

BY_SD_SCRIPTS = """
kp_miniature.shrink()
import hashlib
from library import sai_model_spec, sdxl_model_util
from networks import lora

base, *files = sys.argv[1:]
te1, te2, vae, unet, _, _ = sdxl_model_util.load_models_from_sdxl_checkpoint("sdxl", base, "cpu")
found = []
for file in files:
    network, weights = lora.create_network_from_weights(
        1.0, file, vae, [te1, te2], unet, for_inference=True
    )
    network.apply_to([te1, te2], unet)
    told = network.load_state_dict(weights, False)
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    found.append({
        "modules": len(network.unet_loras) + len(network.text_encoder_loras),
        "missing": list(told.missing_keys),
        "unexpected": list(told.unexpected_keys),
        "digest": digest.hexdigest(),
        "metadata": sai_model_spec.load_metadata_from_safetensors(file),
    })
tell(found)
"""
BY_DIFFUSERS = """
import hashlib, types
try:
    import diffusers
    from diffusers.loaders import StableDiffusionXLLoraLoaderMixin as Loader
except ImportError as error:
    tell({"lacks": str(error)})
else:
    found = []
    for file in sys.argv[1:]:
        read, alphas, *_ = Loader.lora_state_dict(
            file, unet_config=types.SimpleNamespace(layers_per_block=2)  # as SDXL's
        )
        digest = hashlib.sha256()
        for name, tensor in sorted(read.items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        found.append({
            "names": sorted(read), "digest": digest.hexdigest(), "alphas": alphas,
        })
    tell({"found": found, "version": diffusers.__version__})
"""


@pytest.fixture
def both(rehearsed: Callable[..., Rehearsed], tmp_path: Path) -> tuple[Path, Path, Path]:
    """Return a rehearsal's base, its LoRA, and what `card --metadata` makes of that."""
    run = rehearsed("skynet", releases.DEFAULT).run
    out = tmp_path / "my card ü"
    picture = run.folder / "data"
    thumbnail = next(iter(sorted(picture.glob("*.png"))))
    words = ("card", run.folder, "--out", out, "--metadata", "--thumbnail", thumbnail)
    done = CliRunner().invoke(cli, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    copy = out / run.product.name
    assert tensors.contents(copy) == tensors.contents(run.product)
    base = next(stage.output for stage in run.stages if stage.name == "miniature")
    return base, run.product, copy


def test_the_rewritten_lora_loads_in_sd_scripts_as_before(
    both: tuple[Path, Path, Path], upstream: Callable[[str], Checkout]
) -> None:
    old, new = asking.ask(upstream(releases.DEFAULT), BY_SD_SCRIPTS, *map(str, both))
    assert new["modules"] == old["modules"] > 100
    assert new["digest"] == old["digest"]
    assert new["missing"] == new["unexpected"] == old["missing"] == []
    title = new["metadata"]["modelspec.title"]
    assert title == "rehearsal-skynet" != old["metadata"]["modelspec.title"]
    assert new["metadata"]["modelspec.thumbnail"].startswith("data:image/webp;base64,")
    kept = {k: v for k, v in old["metadata"].items() if k not in ("modelspec.title",)}
    assert kept.items() <= new["metadata"].items()
    assert new["metadata"]["sshs_model_hash"] == weights.data_sha256(weights.read(both[2]))


def test_the_rewritten_lora_loads_in_diffusers_as_before(
    both: tuple[Path, Path, Path], upstream: Callable[[str], Checkout]
) -> None:
    _, before, after = both
    said: dict[str, Any] = asking.ask(
        upstream(releases.DEFAULT), BY_DIFFUSERS, str(before), str(after)
    )
    if "lacks" in said:
        pytest.skip(f"Diffusers' loader cannot be imported there: {said['lacks']}")
    old, new = said["found"]
    assert new == old
    assert any(name.startswith("unet.down_blocks.1.attentions") for name in new["names"])
    assert any(name.startswith("text_encoder_2.") for name in new["names"])
