"""Whether what the Kohya GUI sends is the training of our own config, and what of it is more."""

from __future__ import annotations

from typing import Any

from kohya_presets.presets.preset import Preset, Table
from kohya_presets.training.settings import STAND_INS

# What the GUI sends beyond our config, and why it is the same training. A value is what it must be.
EXPLAINED: dict[str, tuple[Any, str]] = {
    "accelerate": (..., "compared by itself"),
    "adaptive_noise_scale": (0, "no noise offset that it could scale"),
    "block_lr": ("", "empty: not given"),
    "caption_dropout_every_n_epochs": (0, "0 drops no caption"),
    "caption_dropout_rate": (0, "0 drops no caption"),
    "clip_skip": (1, "the SDXL scripts warn and take no notice"),
    "dataset_repeats": (..., "the dataset config says it"),
    "discrete_flow_shift": (3.0, "sd-scripts' default"),
    "dynamo_backend": ("no", "read only with torch_compile"),
    "epoch": (..., "no option of sd-scripts"),
    "gradient_accumulation_steps": (1, "sd-scripts' default"),
    "lr_scheduler": ("constant", "sd-scripts' default"),
    "huber_c": (0.1, "sd-scripts' default"),
    "huber_scale": (1.0, "sd-scripts' default"),
    "huber_schedule": ("snr", "sd-scripts' default"),
    "in_json": (..., "sd-scripts takes no notice of it beside a dataset config"),
    "ip_noise_gamma": (0, "0 adds no noise"),
    "keep_tokens": (0, "0 keeps no token in place"),
    "loss_type": ("l2", "sd-scripts' default"),
    "lr_scheduler_args": ([], "empty: not given"),
    "lr_scheduler_num_cycles": (1, "sd-scripts' default"),
    "lr_scheduler_power": (1, "sd-scripts' default"),
    "lr_warmup_steps": (0, "no warm-up"),
    "max_bucket_reso": (1024, "sd-scripts' default"),
    "max_data_loader_n_workers": (8, "sd-scripts' default"),
    "max_grad_norm": (1.0, "sd-scripts' default"),
    "max_timestep": (1000, "all timesteps"),
    "max_token_length": (75, "the length that sd-scripts uses without it"),
    "max_train_steps": (..., "max_train_epochs wins"),
    "min_bucket_reso": (256, "sd-scripts' default"),
    "min_timestep": (0, "all timesteps"),
    "multires_noise_discount": (0.3, "sd-scripts' default, and without iterations of no effect"),
    "network_args": ([], "empty: not given"),
    "noise_offset": (0, "0 adds no noise"),
    "noise_offset_type": (..., "no option of sd-scripts"),
    "optimizer_args": ([], "empty: not given"),
    "persistent_data_loader_workers": (0, "off"),
    "prior_loss_weight": (1.0, "sd-scripts' default"),
    "sample_prompts": (..., "no sample is made without sample_every_n_epochs or _steps"),
    "sample_sampler": ("ddim", "sd-scripts' default, and no sample is made"),
    "save_model_as": ("safetensors", "the default of the LoRA script"),
    "caption_extension": (".caption", "sd-scripts' default"),
    "mixed_precision": ("no", "sd-scripts' default"),
    "script": (..., "compared by itself"),
    "train_batch_size": (1, "sd-scripts' default"),
    "train_data_dir": (..., "sd-scripts takes no notice of it beside a dataset config"),
    "wandb_run_name": (..., "read only with wandb"),
    "bucket_reso_steps": (64, "sd-scripts' default"),
    "save_every_n_epochs": (0, "no save in between"),
    "loraplus_lr_ratio": (0, "no option of sd-scripts"),
    "network_dropout": (0, "0 drops nothing"),
    "scale_weight_norms": (0, "0 scales nothing"),
    "network_alpha": (1, "sd-scripts' default"),
    "dim_from_weights": (False, "off"),
}
# A rate that is not given is the learning rate: the GUI sends it, for its own 0 would freeze.
RATES = ("learning_rate_te1", "learning_rate_te2", "text_encoder_lr", "unet_lr")


def assert_same(found: Table, preset: Preset, places: Table) -> None:
    """Hold every option that is sent against our config, and every one of ours against those.

    `places` are the paths of our config, under the names of their options.
    """
    ours = {
        **{STAND_INS.get(key, key): value for key, value in preset.dataset.items()},
        **preset.train,
        **places,
    }
    assert found["script"] == preset.script
    # v22 leaves accelerate's own word out; the script's, below, is the one that counts.
    precision = ours.get("mixed_precision", "no")
    assert found.get("accelerate", precision) == precision
    unexplained = []
    for name in sorted({*found, *ours}):
        if name in found and name in ours and plain(name, found[name]) == plain(name, ours[name]):
            continue
        if name not in found and EXPLAINED.get(name, (None,))[0] == ours.get(name):
            continue  # we say it, the GUI leaves it open, and it is the same
        if name in preset.dataset or (name in RATES and rate(found, name) == rate(ours, name)):
            continue  # the dataset config, which is ours, says it
        allowed, _ = EXPLAINED.get(name, (None, ""))
        if name in ours or not (allowed is ... or found[name] == allowed):
            unexplained.append((name, found.get(name), ours.get(name)))
    assert unexplained == []


def rate(options: Table, name: str) -> float:
    value = options.get(name, options.get("learning_rate"))
    return float(value[0] if isinstance(value, list) else value)


def plain(name: str, value: Any) -> Any:
    if name == "resolution":
        return [int(side) for side in value.split(",")] if isinstance(value, str) else value
    if name == "network_args":
        return sorted(dict.fromkeys(value))
    return value[0] if name == "text_encoder_lr" and isinstance(value, list) else value
