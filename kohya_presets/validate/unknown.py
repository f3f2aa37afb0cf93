"""Name the setting that was meant by one that does not exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kohya_presets.problems import did_you_mean

# What people and other tools write, and the option that they mean.
_MEANT = {
    **dict.fromkeys(
        ("epoch", "epochs", "num_epochs", "num_train_epochs", "max_epochs", "train_epochs"),
        "max_train_epochs",
    ),
    **dict.fromkeys(("steps", "max_steps", "num_steps", "train_steps"), "max_train_steps"),
    **dict.fromkeys(("batch_size", "batch", "per_device_train_batch_size"), "train_batch_size"),
    **dict.fromkeys(("optimizer", "optim", "optimiser"), "optimizer_type"),
    **dict.fromkeys(("optimizer_params", "optimizer_extra_args"), "optimizer_args"),
    **dict.fromkeys(("scheduler", "lr_schedule", "scheduler_type"), "lr_scheduler"),
    **dict.fromkeys(("lr_warmup", "warmup", "warmup_steps", "warmup_ratio"), "lr_warmup_steps"),
    **dict.fromkeys(("lr", "base_lr", "rate"), "learning_rate"),
    **dict.fromkeys(("unet_learning_rate", "learning_rate_unet", "lr_unet"), "unet_lr"),
    **dict.fromkeys(
        ("text_encoder_learning_rate", "te_lr", "lr_te", "learning_rate_te"), "text_encoder_lr"
    ),
    **dict.fromkeys(("network_rank", "rank", "lora_rank", "lora_dim", "dim"), "network_dim"),
    **dict.fromkeys(("alpha", "lora_alpha"), "network_alpha"),
    **dict.fromkeys(("max_resolution", "image_size", "train_resolution"), "resolution"),
    **dict.fromkeys(("precision", "dtype", "bf16", "fp16"), "mixed_precision"),
    **dict.fromkeys(
        ("base_model", "model", "model_path", "pretrained_model", "model_name_or_path"),
        "pretrained_model_name_or_path",
    ),
    **dict.fromkeys(("vae_path", "vae_model"), "vae"),
    **dict.fromkeys(("data_dir", "image_dir", "dataset_dir", "train_dir"), "train_data_dir"),
    **dict.fromkeys(("caption_ext", "caption_extention"), "caption_extension"),
    **dict.fromkeys(("grad_accum", "gradient_accumulation", "accumulation_steps"),
                    "gradient_accumulation_steps"),
    **dict.fromkeys(("sample_prompt", "prompts", "prompt_file"), "sample_prompts"),
    **dict.fromkeys(("output", "output_path", "output_folder"), "output_dir"),
    **dict.fromkeys(("name", "lora_name", "output_model_name"), "output_name"),
    **dict.fromkeys(("snr_gamma", "min_snr"), "min_snr_gamma"),
    **dict.fromkeys(("save_every", "save_every_epochs", "save_freq"), "save_every_n_epochs"),
    **dict.fromkeys(("grad_norm", "max_norm", "gradient_clipping"), "max_grad_norm"),
    **dict.fromkeys(("flip", "flip_augmentation"), "flip_aug"),
    **dict.fromkeys(("checkpointing", "grad_checkpointing"), "gradient_checkpointing"),
    **dict.fromkeys(("workers", "num_workers"), "max_data_loader_n_workers"),
}  # fmt: skip
_VALUES = {"bf16": ' = "bf16"', "fp16": ' = "fp16"'}
# Words that turn an option into another one: what lacks them was not meant.
_TURNS = frozenset({"full", "no", "not", "skip", "disable", "v", "min", "max", "reg", "zero"})


def meant(key: str, known: Collection[str]) -> str | None:
    """Return what to use, if it is sure which one of `known` is meant."""
    bare = _bare(key)
    if bare in known:
        return f"Did you mean {bare!r}?"
    if bare == "learning_rate_te" and "learning_rate_te1" in known:
        return "Use learning_rate_te1 and learning_rate_te2."
    option = _MEANT.get(bare)
    return f"Use {option}{_VALUES.get(bare, '')}." if option in known else None


def hint(key: str, known: Iterable[str]) -> str | None:
    """Return "did you mean ...?", if one of `known` is nearly what was written."""
    bare = _bare(key)
    return did_you_mean(bare, (name for name in known if _turns(name) <= _turns(bare)))


def _bare(key: str) -> str:
    return key.lower().replace("-", "_")


def _turns(name: str) -> frozenset[str]:
    return _TURNS.intersection(name.split("_"))
