"""A LoRA whose metadata `card` has rewritten loads as before, in sd-scripts and in Diffusers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from kohya_presets.sdscripts import releases
from tests import tensors
from tests.upstream import asking
from wrapper.checkouts.checkout import Checkout
from wrapper.cli import cli

pytestmark = [pytest.mark.upstream, pytest.mark.trainer, pytest.mark.xdist_group("upstream")]

# sd-scripts' own network for the miniature, with random weights, saved as its training does.
MAKE = """
import kp_checkpoint, torch
base, file = sys.argv[1:]
kp_checkpoint.write_checkpoint(base, 0)
from library import sai_model_spec, sdxl_model_util
from networks import lora
te1, te2, vae, unet, _, _ = sdxl_model_util.load_models_from_sdxl_checkpoint("sdxl", base, "cpu")
network = lora.create_network(1.0, 4, 2, vae, [te1, te2], unet)
network.apply_to([te1, te2], unet)
for parameter in network.parameters():
    torch.nn.init.normal_(parameter)
metadata = sai_model_spec.build_metadata(None, False, False, True, True, False, 1e9, title="raw")
metadata |= {"ss_network_dim": "4", "ss_output_name": "x"}
network.save_weights(file, torch.float16, metadata)
tell(len(network.unet_loras) + len(network.text_encoder_loras))
"""
READ = """
import hashlib, torch, types
kp_miniature.shrink()
from library import sai_model_spec, sdxl_model_util, train_util
from networks import lora

def digest(named):
    made = hashlib.sha256()
    for name, tensor in sorted(named.items()):
        made.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return made.hexdigest()

def by_sd_scripts(file):
    te1, te2, vae, unet, _, _ = sdxl_model_util.load_models_from_sdxl_checkpoint(
        "sdxl", base, "cpu"
    )
    network, weights = lora.create_network_from_weights(
        1.0, file, vae, [te1, te2], unet, for_inference=True
    )
    network.apply_to([te1, te2], unet)
    told = network.load_state_dict(weights, False)
    metadata = sai_model_spec.load_metadata_from_safetensors(file)
    return {
        "modules": len(network.unet_loras) + len(network.text_encoder_loras),
        "missing": list(told.missing_keys) + list(told.unexpected_keys),
        "digest": digest(network.state_dict()),
        "metadata": metadata,
        "hashes": train_util.precalculate_safetensors_hashes(weights, metadata),
    }

def by_diffusers(file):
    try:
        from diffusers.loaders import StableDiffusionXLLoraLoaderMixin as Loader
    except ImportError as error:
        return str(error)
    like_sdxl = types.SimpleNamespace(layers_per_block=2)
    folder, _, name = file.rpartition("/")
    read, alphas, *_ = Loader.lora_state_dict(folder, weight_name=name, unet_config=like_sdxl)
    return {"names": sorted(read), "digest": digest(read), "alphas": alphas}

base, *files = sys.argv[1:]
tell([[read(file) for file in files] for read in (by_sd_scripts, by_diffusers)])
"""


def test_a_rewritten_lora_loads_as_before(
    upstream: Callable[[str], Checkout], tmp_path: Path
) -> None:
    checkout = upstream(releases.DEFAULT)
    base, before = tmp_path / "base.safetensors", tmp_path / "raw ü.safetensors"
    modules = asking.ask(checkout, MAKE, str(base), str(before))
    picture = tmp_path / "picture.png"
    Image.effect_noise((300, 200), 80).save(picture)
    out, after = tmp_path / "card", tmp_path / "card" / before.name
    words = ("card", before, "--out", out, "--metadata", "--thumbnail", picture)
    done = CliRunner().invoke(cli, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert tensors.contents(after) == tensors.contents(before)
    read: list[list[Any]] = asking.ask(checkout, READ, *map(Path.as_posix, (base, before, after)))

    old, new = read[0]
    assert new["modules"] == old["modules"] == modules > 100
    assert new["missing"] == old["missing"] == []
    assert new["digest"] == old["digest"]
    said = new["metadata"]
    assert old["metadata"].items() <= said.items()
    assert said["modelspec.thumbnail"].startswith("data:image/webp;base64,")
    # By sd-scripts' own function, of the tensors and what begins with ss_: they are still true.
    assert [said["sshs_model_hash"], said["sshs_legacy_hash"]] == new["hashes"] == old["hashes"]

    old, new = read[1]
    if isinstance(new, str):
        pytest.skip(f"sd-scripts loads it; Diffusers' loader cannot be imported there: {new}")
    assert new == old
    assert any(name.startswith("unet.down_blocks.1.attentions") for name in new["names"])
    assert any(name.startswith("text_encoder_2.") for name in new["names"])
