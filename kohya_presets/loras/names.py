"""The names of a LoRA's modules: one name for each, whichever program wrote the file.

sd-scripts names a module of SDXL's U-Net by its place in the original model, with underscores
(`lora_unet_input_blocks_4_1_…`); Diffusers and PEFT by its place in Diffusers' model, with dots
(`unet.down_blocks.1.attentions.0.…`). The blocks' numbers are those of sd-scripts'
`make_unet_conversion_map` (library/sdxl_model_util.py, v0.10.1).
"""

from __future__ import annotations

import re

PARTS = {
    "lora_unet_": "U-Net",
    "lora_te1_": "text encoder 1",
    "lora_te2_": "text encoder 2",
    "lora_te_": "text encoder",  # of a model that has one
}
OTHER = "other"
_STARTS = (
    ("unet.", "lora_unet_"),
    ("text_encoder_2.", "lora_te2_"),
    ("text_encoder.", "lora_te1_"),
)
_DIFFUSERS_UNET = re.compile(r"(?:down|up|mid)_blocks?\.|(?:conv|time|add)_")
_OLD_PROCESSOR = re.compile(r"_processor_(to_(?:q|k|v|out))_lora$")
_INNER = re.compile(r"(down|up)_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)")
_MIDDLE = re.compile(r"mid_block_(attentions|resnets)_(\d+)_(.+)")
_SAMPLER = re.compile(r"(down|up)_blocks_(\d+)_(?:down|up)samplers_0_conv")
_RESIDUAL = {
    "conv1": "in_layers_2",
    "conv2": "out_layers_3",
    "time_emb_proj": "emb_layers_1",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "conv_in": "input_blocks_0_0",
    "conv_out": "out_2",
    "time_embedding_linear_1": "time_embed_0",
    "time_embedding_linear_2": "time_embed_2",
    "add_embedding_linear_1": "label_emb_0_0",
    "add_embedding_linear_2": "label_emb_0_2",
}
_BLOCK = re.compile(r"lora_unet_((?:input|output|double|single)_blocks_\d+|middle_block)_")
_LAYER = re.compile(r"lora_(te\d?)_text_model_encoder_layers_(\d+)_")


def ours(stored: str) -> str:
    """Return sd-scripts' name of the module that a file calls `stored`."""
    name = stored.removeprefix("base_model.model.")
    if _DIFFUSERS_UNET.match(name):
        name = f"unet.{name}"
    for start, our_start in _STARTS:
        if name.startswith(start):
            name = our_start + name[len(start) :].replace(".", "_")
            name = _OLD_PROCESSOR.sub(r"_\1", name)
            name = re.sub(r"_to_out$", "_to_out_0", name)
    start, _, path = name.partition("lora_unet_")
    return name if start or not path else f"lora_unet_{_original(path)}"


def part(module: str) -> str:
    """Return which of the `PARTS` a module (by our name) belongs to."""
    return next((part for start, part in PARTS.items() if module.startswith(start)), OTHER)


def block(module: str) -> str:
    """Return a module's block: "input_blocks_4", "te1 layer 0"."""
    if found := _BLOCK.match(module):
        return found[1]
    if found := _LAYER.match(module):
        return f"{found[1]} layer {found[2]}"
    start = next((start for start in PARTS if module.startswith(start)), None)
    return f"{start[5:-1]} {OTHER}" if start else OTHER


def order(module: str) -> tuple[int, str, int]:
    """Return a key to sort modules in the order of the model: by part, then by block."""
    numbers = [int(number) for number in re.findall(r"\d+", block(module))]
    kinds = [*PARTS.values(), OTHER]
    return kinds.index(part(module)), re.sub(r"\d+$", "", block(module)), (numbers or [0])[-1]


def _original(path: str) -> str:
    """Return a U-Net module's place in the original model, given that in Diffusers' or itself."""
    if found := _INNER.fullmatch(path):
        way, number, kind, index, rest = found.groups()
        at = 3 * int(number) + int(index) + (way == "down")
        block = "input_blocks" if way == "down" else "output_blocks"
        return f"{block}_{at}_{_slot(kind, rest)}"
    if found := _MIDDLE.fullmatch(path):
        kind, index, rest = found.groups()
        at = 1 if kind == "attentions" else 2 * int(index)
        return f"middle_block_{at}_{_RESIDUAL.get(rest, rest)}"
    if found := _SAMPLER.fullmatch(path):
        at = 3 * int(found[2])
        return (
            f"input_blocks_{at + 3}_0_op"
            if found[1] == "down"
            else f"output_blocks_{at + 2}_2_conv"
        )
    return _ENDS.get(path, path)


def _slot(kind: str, rest: str) -> str:
    return f"1_{rest}" if kind == "attentions" else f"0_{_RESIDUAL.get(rest, rest)}"
