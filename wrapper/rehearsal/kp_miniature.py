"""Run one of sd-scripts' own scripts, unchanged, on an SDXL small enough for any CPU.

    python kp_miniature.py FOLDER SCRIPT ARGUMENTS...

What the script used is written into FOLDER, see `kp_observed`.

Everything that fixes SDXL's size in sd-scripts is a module constant, a constructor's argument or
a config class (read in v0.7.0 to v0.11.1), so it can be set before the script runs. The shape stays
SDXL's: the same blocks, the same names, both text encoders, 12 layers in the first one (the script
takes hidden state 11). Runs in the trainer's environment, with nothing of ours importable.
"""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import kp_observed
import torch
from kp_torchvision import repair_torchvision

UNET_CHANNELS = 32  # SDXL: 320; group norm has 32 groups, so no fewer
TEXT_WIDTHS = {768: 64, 1280: 96}  # hidden sizes of text encoders 1 and 2
TEXT_LAYERS = {768: 12, 1280: 4}  # SDXL: 12 and 32
SIZE_EMBEDDING = 6 * 256  # original size, crop and target size, each of two numbers
VAE_CHANNELS = 32  # SDXL: 128


def shrink() -> None:
    """Make every SDXL that sd-scripts builds in this process a miniature: 20 M parameters."""
    repair_torchvision()
    have_no_gpu()
    from library import model_util, sdxl_model_util, sdxl_original_unet

    _shrink_unet(sdxl_original_unet)
    sdxl_model_util.CLIPTextConfig = _small_text_config(sdxl_model_util.CLIPTextConfig)
    sdxl_model_util.load_models_from_sdxl_checkpoint = with_own_storage(
        sdxl_model_util.load_models_from_sdxl_checkpoint
    )
    model_util.VAE_PARAMS_CH = VAE_CHANNELS


def have_no_gpu() -> None:
    # v0.8 empties the cache of the current GPU after each sample without asking whether there is
    # one. -1 is none, and to go there does nothing (torch.cuda.device).
    if not torch.cuda.is_available():
        torch.cuda.current_device = lambda: -1


def _shrink_unet(module: ModuleType) -> None:
    module.MODEL_CHANNELS = UNET_CHANNELS
    module.TIME_EMBED_DIM = 4 * UNET_CHANNELS
    module.ADM_IN_CHANNELS = SIZE_EMBEDDING + TEXT_WIDTHS[1280]
    module.CONTEXT_DIM = sum(TEXT_WIDTHS.values())
    transformer = module.Transformer2DModel
    build = transformer.__init__
    signature = inspect.signature(build)

    # In place and not a subclass: sd-scripts finds these modules by the name of their class.
    def build_small(self: Any, *args: Any, **options: Any) -> None:
        given = signature.bind(self, *args, **options).arguments
        given.update(num_transformer_layers=1, cross_attention_dim=module.CONTEXT_DIM)
        build(**given)

    transformer.__init__ = build_small


def _small_text_config(config: Any) -> Any:
    def small(**options: Any) -> Any:
        full = options["hidden_size"]
        width = TEXT_WIDTHS[full]
        options.update(
            hidden_size=width,
            projection_dim=width,
            intermediate_size=2 * width,
            num_hidden_layers=TEXT_LAYERS[full],
            num_attention_heads=4,
        )
        return config(**options)

    return small


def with_own_storage(load: Any) -> Any:
    # On CPU the second text encoder's query, key and value are views of one tensor, and safetensors
    # refuses to load a saved state into such views. A move to a GPU copies them apart.
    def loaded(*args: Any, **options: Any) -> Any:
        models = load(*args, **options)
        for parameter in models[1].parameters():
            parameter.data = parameter.data.clone()
        return models

    return loaded


if __name__ == "__main__":
    kp_observed.main(shrink)
