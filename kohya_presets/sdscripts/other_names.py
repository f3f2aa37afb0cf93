"""What people and other tools call a setting, and the option of sd-scripts that they mean.

From files that people published, and from the options of: the training scripts of Diffusers
(examples/text_to_image/train_text_to_image_lora_sdxl.py, examples/dreambooth/train_dreambooth.py),
`accelerate launch`, transformers' TrainingArguments, the Kohya GUI (fields of its tabs),
lora-scripts (mikazuki/schema/*.ts, train.sh), and the fork FHfanshu/sd-scripts-anima.
"""

from __future__ import annotations

from collections.abc import Mapping

SAVES = ("save_every_n_epochs", "save_every_n_steps")
# Where more than one option is named, the file says too little to choose.
RENAMED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "epoch",
            "epochs",
            "num_epochs",
            "num_train_epochs",
            "max_epochs",
            "train_epochs",
            "total_epochs",
        ),
        ("max_train_epochs",),
    ),
    **dict.fromkeys(
        ("steps", "max_steps", "num_steps", "train_steps", "total_steps"), ("max_train_steps",)
    ),
    **dict.fromkeys(("batch_size", "batch", "per_device_train_batch_size"), ("train_batch_size",)),
    **dict.fromkeys(("optimizer", "optim", "optimiser"), ("optimizer_type",)),
    **dict.fromkeys(
        ("optimizer_params", "optimizer_extra_args", "optimizer_args_custom"), ("optimizer_args",)
    ),
    **dict.fromkeys(("network_args_custom", "lora_args"), ("network_args",)),
    **dict.fromkeys(
        ("scheduler", "lr_schedule", "scheduler_type", "lr_scheduler_name"), ("lr_scheduler",)
    ),
    **dict.fromkeys(
        ("lr_restart_cycles", "lr_num_cycles", "num_cycles", "lr_cycles"),
        ("lr_scheduler_num_cycles",),
    ),
    **dict.fromkeys(("lr_power", "power"), ("lr_scheduler_power",)),
    "num_decay_steps": ("lr_decay_steps",),
    "noise_offset_strength": ("noise_offset",),
    "min_lr_ratio": ("lr_scheduler_min_lr_ratio",),
    **dict.fromkeys(
        ("lr_warmup", "warmup", "warmup_steps", "warmup_step", "num_warmup_steps", "warmup_ratio"),
        ("lr_warmup_steps",),
    ),
    **dict.fromkeys(("lr", "base_lr", "rate"), ("learning_rate",)),
    **dict.fromkeys(("unet_learning_rate", "learning_rate_unet", "lr_unet"), ("unet_lr",)),
    **dict.fromkeys(
        (
            *("text_encoder_learning_rate", "te_learning_rate", "te_lr", "lr_te"),
            *("learning_rate_te", "learning_rate_te1", "learning_rate_te2"),
        ),
        ("text_encoder_lr",),
    ),
    **dict.fromkeys(("network_rank", "rank", "lora_rank", "lora_dim", "dim"), ("network_dim",)),
    **dict.fromkeys(("alpha", "lora_alpha"), ("network_alpha",)),
    **dict.fromkeys(("dropout", "lora_dropout"), ("network_dropout",)),
    "network_type": ("network_module",),
    **dict.fromkeys(("max_resolution", "image_size", "train_resolution"), ("resolution",)),
    "max_reso": ("max_bucket_reso",),
    "min_reso": ("min_bucket_reso",),
    "reso_step": ("bucket_reso_steps",),
    **dict.fromkeys(("precision", "dtype", "bf16", "fp16"), ("mixed_precision",)),
    **dict.fromkeys(
        (
            *("base_model", "model", "model_path", "pretrained_model", "model_name_or_path"),
            *("transformer_path", "checkpoint", "checkpoint_path", "ckpt", "base_model_path"),
            *("pretrained_model_name", "pretrained_model_path"),
        ),
        ("pretrained_model_name_or_path",),
    ),
    **dict.fromkeys(("vae_path", "vae_model", "pretrained_vae_model_name_or_path"), ("vae",)),
    **dict.fromkeys(("t5_tokenizer_dir",), ("t5_tokenizer_path",)),
    **dict.fromkeys(
        ("data_dir", "image_dir", "dataset_dir", "train_dir", "instance_data_dir"),
        ("train_data_dir",),
    ),
    "class_data_dir": ("reg_data_dir",),
    **dict.fromkeys(("caption_ext", "caption_extention"), ("caption_extension",)),
    "caption_postfix": ("caption_suffix",),
    **dict.fromkeys(
        ("grad_accum", "gradient_accumulation", "accumulation_steps"),
        ("gradient_accumulation_steps",),
    ),
    **dict.fromkeys(
        (
            *("sample_prompt", "prompts", "prompt_file", "positive_prompts"),
            *("validation_prompt", "validation_prompts"),
        ),
        ("sample_prompts",),
    ),
    "validation_steps": ("sample_every_n_steps",),
    "validation_epochs": ("sample_every_n_epochs",),
    **dict.fromkeys(("output", "output_path", "output_folder"), ("output_dir",)),
    **dict.fromkeys(("name", "lora_name", "output_model_name"), ("output_name",)),
    **dict.fromkeys(("snr_gamma", "min_snr"), ("min_snr_gamma",)),
    **dict.fromkeys(("save_every", "save_freq", "save_interval"), SAVES),
    "save_every_epochs": ("save_every_n_epochs",),
    **dict.fromkeys(("checkpointing_steps", "save_steps"), ("save_every_n_steps",)),
    **dict.fromkeys(("resume_from", "resume_from_checkpoint", "resume_path"), ("resume",)),
    "report_to": ("log_with",),
    "hub_model_id": ("huggingface_repo_id",),
    "hub_token": ("huggingface_token",),
    **dict.fromkeys(
        ("grad_norm", "max_norm", "gradient_clipping", "gradient_clip", "clip_grad_norm"),
        ("max_grad_norm",),
    ),
    **dict.fromkeys(("flip", "flip_augmentation", "flip_augment", "random_flip"), ("flip_aug",)),
    **dict.fromkeys(
        ("checkpointing", "grad_checkpointing", "grad_checkpoint"), ("gradient_checkpointing",)
    ),
    "enable_xformers_memory_efficient_attention": ("xformers",),
    **dict.fromkeys(
        ("workers", "num_workers", "dataloader_num_workers"), ("max_data_loader_n_workers",)
    ),
}
VALUES: Mapping[str, str] = {"bf16": ' = "bf16"', "fp16": ' = "fp16"'}  # what they set it to

# Arguments under another name; `arguments.lists_of` knows the others.
ARGUMENTS: Mapping[str, str] = {
    "adam_weight_decay": "weight_decay",
    "adam_epsilon": "eps",
    "lycoris_algo": "algo",
    "lokr_factor": "factor",
    "dylora_unit": "unit",
    **{
        f"prodigy_{name}": name
        for name in (
            *("beta3", "d0", "d_coef", "decouple", "growth_rate", "safeguard_warmup"),
            "use_bias_correction",
        )
    },
    "rank_dropout_scale": "rank_dropout_scale",  # of LyCORIS
}
# Options of `accelerate launch`, by what people call them.
OF_LAUNCH: Mapping[str, str] = {
    **{
        name: name
        for name in (
            *("num_processes", "num_machines", "machine_rank", "main_process_ip", "multi_gpu"),
            *("main_process_port", "num_cpu_threads_per_process", "gpu_ids", "dynamo_mode"),
            *("dynamo_use_fullgraph", "dynamo_use_dynamic", "use_deepspeed", "use_fsdp"),
        )
    },
    **dict.fromkeys(("use_cpu", "use_cpu_only"), "cpu"),
}
# What is written behind a prompt, in the file for sample_prompts (library/train_util.py,
# line_to_prompt_dict).
OF_PROMPTS: Mapping[str, str] = {
    "sample_width": "w",
    "sample_height": "h",
    "sample_steps": "s",
    "sample_cfg": "l",
    "sample_seed": "d",
    **dict.fromkeys(("negative_prompt", "negative_prompts", "sample_negative_prompt"), "n"),
}
_BETAS = 'It belongs in optimizer_args: optimizer_args = ["betas=BETA1,BETA2"].'
ADVICE: Mapping[str, str] = {
    **dict.fromkeys(("beta1", "beta2", "adam_beta1", "adam_beta2"), _BETAS),
    "min_lr": (
        'Use lr_scheduler = "cosine_with_min_lr" and lr_scheduler_min_lr_ratio: the lowest rate as '
        "a share of learning_rate."
    ),
    "additional_parameters": "Write each option in it as a line of its own.",
    "extra_accelerate_launch_args": "Give them to accelerate launch, before the script.",
    "bucket_resolutions": (
        "sd-scripts chooses the sizes itself, from min_bucket_reso, max_bucket_reso and "
        "bucket_reso_steps."
    ),
    "instance_prompt": "Use class_tokens in the dataset config, or captions.",
    **dict.fromkeys(("repeats", "num_repeat"), "Use num_repeats in the dataset config."),
    "prediction_type": "For a model that predicts v, use v_parameterization = true.",
}
# Those of them whose value changes the training where it is written.
ASKING = frozenset(
    {"beta1", "beta2", "adam_beta1", "adam_beta2", "min_lr", "additional_parameters"}
)
# What lora-scripts writes for its own web page, and takes out before it starts sd-scripts.
OF_LORA_SCRIPTS = frozenset(
    {"model_train_type", "enable_preview", "randomly_choice_prompt", "ui_custom_params"}
    | {"enable_block_weights", "enable_base_weight"}
)
