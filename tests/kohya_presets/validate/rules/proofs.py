"""How each error rule was proved on the real sd-scripts, or why it was not.

Beside `cases.CASES`, of which those with `says` are run: what a test in tests/upstream runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.kohya_presets.validate.rules.cases import CASES

LORA = "sdxl_train_network.py"
NETWORK: Mapping[str, Any] = {"network_module": "networks.lora", "network_dim": 4}


class Changed(NamedTuple):
    """A change to a rehearsal's training config, and what the script then says.

    None takes an option out; `{folder}` in a text is that of the rehearsal. `says` is None where
    the script ends well and makes nothing.
    """

    change: Mapping[str, Any]
    says: str | None
    script: str = "sdxl_train.py"
    release: str = "v0.10.1"


# What presets cannot say: paths, and what scripts for LoRAs have.
CHANGED = {
    "no-base": Changed({"pretrained_model_name_or_path": None}, "NoneType"),
    "no-output": Changed({"output_dir": None}, "NoneType"),
    "no-images": Changed({"dataset_config": None, "resolution": "64"}, None),
    "empty-text": Changed({"vae": ""}, "vae"),
    "dataset-config-form": Changed({"dataset_config": __file__}, "not supported config file"),
    "backslash": Changed({"vae": "{folder}\tvae.safetensors"}, "vae.safetensors"),
    "metadata-uncached": Changed(
        {
            **{"dataset_config": None, "resolution": "64", "caption_extension": ".txt"},
            **{"train_data_dir": "{folder}/data", "in_json": "{folder}/meta.json"},
        },
        "'NoneType' object has no attribute",
    ),
    "lora-cached-text": Changed(
        {**NETWORK, "cache_text_encoder_outputs": True},
        "network for Text Encoder cannot be trained with caching",
        LORA,
    ),
    "network-args": Changed(
        {**NETWORK, "network_args": ["conv_dim"]}, "not enough values to unpack", LORA
    ),
    "network-module": Changed(
        {**NETWORK, "network_module": "networks.lora_flux", "network_train_unet_only": True},
        "optimizer got an empty parameter list",
        LORA,
    ),
}
# Options of a tool, after those of the rehearsal; None takes one out.
TOOLS = {
    "dynamic-param": ("resize", {"--dynamic_method": "sv_fro"}, "dynamic_param is required"),
    "extract-sdxl": ("extract", {"--sdxl": None}, "Error(s) in loading state_dict for"),
    "extract-v2": ("extract", {"--v2": ""}, "cannot be specified at the same time"),
}
# Run by a test of its own: sampling in test_before_a_run.py, the others in test_true_rules.py.
ELSEWHERE = {
    "samples-without-prompts": "v0.10.1",
    "sample-every-zero": "v0.8.7",  # its function; the option is turned off before, from v0.8.6 on
    "not-finite": "v0.10.1",
    "validation-share": "v0.10.1",
    "fused-twice": "v0.10.1",
}
UNRUN = {
    "adacoor-deepspeed": "needs the package deepspeed and a GPU",
    "fused-deepspeed": "needs the package deepspeed and a GPU",
    "resize-alone": "our own rule, about the stages of a preset; no script of sd-scripts is asked",
}


def of(code: str) -> str:
    """Return how an error rule was proved: "run, v0.10.1", or "read: " and why not."""
    case = CASES.get(code)
    if case and case.says:
        return f"run, {case.release}"
    if code in CHANGED:
        return f"run, {CHANGED[code].release}"
    if code in TOOLS:
        return "run, v0.10.1"
    if code in ELSEWHERE:
        return f"run, {ELSEWHERE[code]}"
    return f"read: {UNRUN.get(code, 'no reason given')}"
