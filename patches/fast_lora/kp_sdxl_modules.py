"""Which of SDXL's weights a LoRA has modules for, by their names in a single-file checkpoint.

Runs inside sd-scripts: torch and the standard library only, Python 3.10, torch 2.0 and newer.

The names are those that networks/lora.py gives (LoRANetwork, read in v0.7.0 to v0.11.1): the
Linear layers of the U-Net's transformers and of both text encoders' attention and MLPs; with
--conv_dim also what its residual blocks, down- and upsamplers convolve or project.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

WEIGHT = ".weight"
UNET = "model.diffusion_model."
TEXT_ENCODER_1 = "conditioner.embedders.0.transformer.text_model.encoder.layers."
TEXT_ENCODER_2 = "conditioner.embedders.1.model.transformer.resblocks."
PARTS = {"lora_unet_": "U-Net", "lora_te1_": "text encoder 1", "lora_te2_": "text encoder 2"}

_TRANSFORMER = re.compile(
    r"(?:input_blocks\.\d+|middle_block|output_blocks\.\d+)\.\d+"
    r"\.(?:proj_in|proj_out|transformer_blocks\..*(?:to_[qkv]|to_out\.0|proj|net\.2))"
)
_CONVOLVING = re.compile(
    r"(?:input_blocks\.\d+|middle_block|output_blocks\.\d+)\.\d+"
    r"\.(?:in_layers\.2|out_layers\.3|emb_layers\.1|skip_connection|op|conv)"
)
_CLIP = re.compile(r"\d+\.(?:self_attn\.(?:[qkv]|out)_proj|mlp\.fc[12])")
_OPEN_CLIP = {  # what OpenCLIP calls it, and what transformers does
    "attn.out_proj.weight": "self_attn_out_proj",
    "mlp.c_fc.weight": "mlp_fc1",
    "mlp.c_proj.weight": "mlp_fc2",
}
_OPEN_CLIP_STACKED = "attn.in_proj_weight"  # query, key and value, one above the other
_QUERY_KEY_VALUE = tuple(f"self_attn_{letter}_proj" for letter in "qkv")


@dataclass(frozen=True)
class Target:
    """A stored tensor, and the LoRA modules for it: several where it is several, stacked."""

    key: str
    modules: tuple[str, ...]


def targets(keys: Iterable[str], *, convolutions: bool) -> Iterator[Target]:
    """Yield the tensors among `keys` that have modules, in their order."""
    for key in keys:
        if key.startswith(UNET) and key.endswith(WEIGHT):
            path = key[len(UNET) : -len(WEIGHT)]
            if _TRANSFORMER.fullmatch(path) or (convolutions and _CONVOLVING.fullmatch(path)):
                yield Target(key, (f"lora_unet_{_flat(path)}",))
        elif key.startswith(TEXT_ENCODER_1) and key.endswith(WEIGHT):
            path = key[len(TEXT_ENCODER_1) : -len(WEIGHT)]
            if _CLIP.fullmatch(path):
                yield Target(key, (f"lora_te1_text_model_encoder_layers_{_flat(path)}",))
        elif key.startswith(TEXT_ENCODER_2):
            number, _, rest = key[len(TEXT_ENCODER_2) :].partition(".")
            layer = f"lora_te2_text_model_encoder_layers_{number}_"
            if rest in _OPEN_CLIP:
                yield Target(key, (layer + _OPEN_CLIP[rest],))
            elif rest == _OPEN_CLIP_STACKED:
                yield Target(key, tuple(layer + name for name in _QUERY_KEY_VALUE))


def _flat(path: str) -> str:
    return path.replace(".", "_")
