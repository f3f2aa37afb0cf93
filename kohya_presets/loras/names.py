"""The names of a LoRA's modules: one name for each, whichever program wrote the file.

sd-scripts names a module of SDXL's U-Net by its place in the original model, with underscores
(`lora_unet_input_blocks_4_1_…`); Diffusers and PEFT by its place in Diffusers' model, with dots
(`unet.down_blocks.1.attentions.0.…`); OneTrainer by either, with dots (`unet.input_blocks.4.1.…`,
`lora_unet.down_blocks.1.…`, `clip_l.…`); ComfyUI by its own model's keys (`diffusion_model.…`,
`text_encoders.clip_l.transformer.…`); LyCORIS as sd-scripts, or with `lycoris_`. The blocks'
numbers are those of sd-scripts' `make_unet_conversion_map` (library/sdxl_model_util.py, v0.10.1).
"""

from __future__ import annotations

import re

TE1, TE = "lora_te1_", "lora_te_"
PARTS = {
    "lora_unet_": "U-Net",
    TE1: "text encoder 1",
    "lora_te2_": "text encoder 2",
    TE: "text encoder",  # of a model that has one
}
OTHER = "other"
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:base_model\.model|_orig_mod|module)\.")  # PEFT's, torch's
_UNET = re.compile(
    r"(?:unet\.|lora_unet\.|lycoris_|(?:model\.)?diffusion_model\.)"
    # without any start, by the names of the model's own parts
    r"|(?=(?:down|up|mid)_blocks?\.|(?:input|output)_blocks\.|middle_block\."
    r"|(?:conv|time|add)_|label_emb\.)"
)
_TEXT_ENCODERS = tuple(
    (re.compile(starts), ours)
    for starts, ours in (
        (
            r"(?:text_encoder_2|lora_te2|(?:text_encoders\.)?clip_g(?:\.transformer)?)\.",
            "lora_te2_",
        ),
        (r"(?:text_encoder(?:_1)?|lora_te1|(?:text_encoders\.)?clip_l(?:\.transformer)?)\.", TE1),
        (r"(?:lora_te|(?:text_encoders\.)?clip_h(?:\.transformer)?)\.", TE),
        (r"(?=text_model\.)", TE),  # PEFT's file of one encoder does not say of which
    )
)
_OLD_ATTENTION = re.compile(r"_(?:processor_)?to_(q|k|v|out)_lora$|_processor_to_(q|k|v|out)$")
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
_ELSEWHERE = re.compile(
    r"lora_unet_(?:out|time_embed|label_emb|(?:img|txt|time|vector|guidance)_in|final_layer)_"
    r"|lora_te\d?_text_(?:projection|model_(?:embeddings|final_layer_norm))"
)


def ours(stored: str) -> str:
    """Return sd-scripts' name of the module that a file calls `stored`."""
    name = _WRAPPERS.sub("", stored)
    for starts, ours_start in _TEXT_ENCODERS:
        if found := starts.match(name):
            return ours_start + _text_path(name[found.end() :].replace(".", "_"))
    if found := _UNET.match(name):
        name = "lora_unet_" + name[found.end() :].replace(".", "_")
    start, _, path = name.partition("lora_unet_")
    return name if start or not path else f"lora_unet_{_original(_unet_path(path))}"


def part(module: str) -> str:
    """Return which of the `PARTS` a module (by our name) belongs to."""
    return next((part for start, part in PARTS.items() if module.startswith(start)), OTHER)


def known(module: str) -> bool:
    """Return whether a module (by our name) has a place in a model that we know."""
    return any(places.match(module) for places in (_BLOCK, _LAYER, _ELSEWHERE))


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


def _text_path(path: str) -> str:
    """Return a text encoder's layer, which Diffusers until 0.17 named as in the U-Net."""
    path = re.sub(r"_self_attn_to_(q|k|v|out)(?:_lora)?$", r"_self_attn_\1_proj", path)
    return f"text_model_{path}" if path.startswith("encoder_layers_") else path


def _unet_path(path: str) -> str:
    """Return a U-Net's layer without the attention processor of Diffusers until 0.19."""
    path = _OLD_ATTENTION.sub(lambda found: f"_to_{found[1] or found[2]}", path)
    return re.sub(r"_to_out$", "_to_out_0", path)


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
