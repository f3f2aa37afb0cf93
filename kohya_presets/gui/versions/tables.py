"""Facts about the GUI's fields that `tools/gui` cannot read from its sources."""

from __future__ import annotations

from collections.abc import Mapping

from kohya_presets import secrets

MODELS = (
    "flux1_checkbox",
    "sd3_checkbox",
    "hunyuan_image_checkbox",
    "anima_checkbox",
    "lumina_checkbox",
)
# Local paths: left out of an export, so that the values on the screen stay.
PATHS = frozenset(
    {
        "pretrained_model_name_or_path",
        "train_dir",
        "train_data_dir",
        "image_folder",
        "reg_data_dir",
        "output_dir",
        "output_name",
        "logging_dir",
        "log_tracker_config",
        "log_tracker_name",
        "wandb_run_name",
        "training_comment",
        "sample_prompts",
        "ae",  # of FLUX, whose other parts are below
    }
)
# Local paths too, but the value on the screen would change the training: an export clears them.
EMPTIED = frozenset(
    {
        "dataset_config",
        "resume",
        "vae",
        "network_weights",
        "lora_network_weights",
        "huggingface_repo_id",
        "resume_from_huggingface",
    }
)
SECRETS = frozenset(secrets.OPTIONS)
# v25.0.0 to v25.2.2 pass each of these to the next widget, so the file does not have the value
# from the screen. None of them is for SDXL.
MISWIRED = frozenset(
    {
        "sd3_fused_backward_pass",
        "clip_g",
        "clip_l",
        "logit_mean",
        "logit_std",
        "mode_scale",
        "save_clip",
        "save_t5xxl",
        "t5xxl",
        "t5xxl_device",
        "t5xxl_dtype",
        "sd3_text_encoder_batch_size",
    }
)
# Keys of older files, and the keys they are read as.
OLDER: Mapping[str, str] = {
    "generate_caption_database": "create_caption",
    "generate_image_buckets": "create_buckets",
    "lora_network_weights": "network_weights",
    "stop_text_encoder_training_pct": "stop_text_encoder_training",
}
# Fields that only choose among others or are the GUI's own, with a note for the report.
SAY: Mapping[str, str] = {
    "noise_offset_type": "it only selects which noise options are sent",
    "stop_text_encoder_training": "a percentage of the steps, which only the GUI can compute",
    "sample_prompts": "save the prompts to a file and set train.sample_prompts to it",
}
# What the fields that only the GUI itself reads are set to, where the version has them.
FIXED: Mapping[str, object] = {
    "sdxl": True,
    "sdxl_checkbox": True,
    **dict.fromkeys(MODELS, False),
    "v2": False,
    "v_parameterization": False,
    "model_list": "custom",
    "create_caption": True,  # the metadata that the GUI trains from is made at the start
    "create_buckets": False,
    "use_latent_files": "No",
    "full_path": True,
    "caption_metadata_filename": "meta_cap.json",
    "latent_metadata_filename": "meta_lat.json",
    "batch_size": "1",
    "lr_warmup": 0,
    "lr_warmup_steps": 0,
    "additional_parameters": "",
    "num_processes": 1,
    "num_machines": 1,
    "multi_gpu": False,
    "gpu_ids": "",
    "dynamo_backend": "no",
    "dynamo_mode": "default",
    "dynamo_use_fullgraph": False,
    "dynamo_use_dynamic": False,
    "extra_accelerate_launch_args": "",
    "stop_text_encoder_training": 0,
    "stop_text_encoder_training_pct": 0,
    "noise_offset_type": "Original",
    "t5xxl_lr": 0,
}
# Differences from FIXED for another model; None: a field like any other.
MODEL: Mapping[str, Mapping[str, object]] = {
    "SDXL": {},
    "SD": {"sdxl": False, "v2": None, "v_parameterization": None},
    "FLUX": {"sdxl": False, "flux1_checkbox": True},
}
# Fields whose every value is sent: the value that changes least.
LEAST: Mapping[str, object] = {"save_precision": "float", "save_model_as": "safetensors"}
# Options for which 0 is the same as not given.
ZERO_IS_OFF = frozenset(
    {
        "keep_tokens",
        "caption_dropout_rate",
        "caption_dropout_every_n_epochs",
        "lr_warmup_steps",
        "noise_offset",
        "adaptive_noise_scale",
        "multires_noise_iterations",
        "ip_noise_gamma",
        "network_dropout",
        "scale_weight_norms",
        "min_snr_gamma",
        "save_every_n_epochs",
        "save_every_n_steps",
        "vae_batch_size",
        "v_pred_like_loss",
    }
)
# Values that are the same as not given.
SAME_AS_ABSENT: Mapping[str, object] = {
    "max_token_length": 75,
    "max_timestep": 1000,
    "min_timestep": 0,
    "resolution": "",
    "prior_loss_weight": 1.0,
}
# Always sent, and without effect on the training.
HARMLESS = frozenset({"dynamo_backend", "sample_sampler", "wandb_run_name", "train_data_dir"})
# A rate that is not given is the learning rate.
RATES = ("learning_rate_te1", "learning_rate_te2", "text_encoder_lr", "unet_lr")
