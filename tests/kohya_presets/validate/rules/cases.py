"""For each rule: settings over the preset skynet that it speaks up about, and some it does not.

`SAYS` is what the real sd-scripts says when it fails for that reason; a test in tests/upstream
runs it. None: it does not fail there, but does otherwise than told, or fails on a GPU only.
"""

from __future__ import annotations

from typing import NamedTuple


class Case(NamedTuple):
    """Overrides as `--set` takes them, by spaces; values have none."""

    fires: str
    quiet: str
    says: str | None = None
    release: str = "v0.10.1"
    preset: str = "skynet"
    patches: tuple[str, ...] = ()  # that the checkout carries, beside the preset's


CASES = {
    # arguments
    "adaptive-noise": Case(
        "train.adaptive_noise_scale=0.1",
        "train.adaptive_noise_scale=0.1 train.noise_offset=0.05",
        "adaptive_noise_scale requires noise_offset",
    ),
    "scale-v-pred": Case(
        "train.scale_v_pred_loss_like_noise_pred=true",
        "train.scale_v_pred_loss_like_noise_pred=true train.v_parameterization=true",
        "can be enabled only with v_parameterization",
    ),
    "v-pred-like-loss": Case(
        "train.v_pred_like_loss=0.5 train.v_parameterization=true",
        "train.v_pred_like_loss=0.5",
        "cannot be enabled with v_parameterization",
    ),
    "resolution-form": Case(
        'train.resolution="64x64" dataset.resolution=unset',
        'train.resolution="64,64" dataset.resolution=unset',
        "invalid literal for int()",
    ),
    "face-crop-form": Case(
        'train.face_crop_aug_range="4.0,2.0"',
        'train.face_crop_aug_range="2.0,4.0"',
        "face_crop_aug_range must be two floats",
    ),
    "v2-on-sdxl": Case("train.v2=true", "train.v2=false", "v2 cannot be enabled in SDXL"),
    "weighted-captions": Case(
        "train.weighted_captions=true",
        "train.weighted_captions=false",
        "weighted_captions cannot be enabled in SDXL",
        "v0.9.1",
    ),
    "weighted-captions-cached": Case(
        "train.weighted_captions=true train.cache_text_encoder_outputs=true"
        " train.train_text_encoder=false",
        "train.weighted_captions=true",
        "weighted_captions is not supported when caching",
    ),
    "cached-text-trained": Case(
        "train.cache_text_encoder_outputs=true",
        "train.cache_text_encoder_outputs=true train.train_text_encoder=false",
        "cache_text_encoder_outputs is not supported when training",
    ),
    "block-rates": Case(
        'train.block_lr="1e-6,1e-6"',
        f'train.block_lr="{",".join(["1e-6"] * 23)}"',
        "block_lr must have 23 values",
    ),
    "no-log-folder": Case(
        'train.log_with="tensorboard"',
        'train.log_with="tensorboard" train.logging_dir="logs"',
        "logging_dir is required",
    ),
    "workers-persist": Case(
        "train.persistent_data_loader_workers=true train.max_data_loader_n_workers=0",
        "train.persistent_data_loader_workers=true train.max_data_loader_n_workers=2",
        "persistent_workers option needs num_workers > 0",
    ),
    "nothing-trained": Case(
        "train.learning_rate=0 train.train_text_encoder=false",
        "train.learning_rate=0 train.learning_rate_te1=1e-6 train.learning_rate_te2=1e-6",
        "empty parameter list",
    ),
    "save-every-zero": Case(
        "train.save_every_n_epochs=0", "train.save_every_n_epochs=50", "ZeroDivisionError"
    ),
    # images
    "no-resolution": Case(
        "dataset.resolution=unset",
        'dataset.resolution=unset train.resolution="64"',
        "resolution is required",
    ),
    "bucket-smallest": Case(
        "dataset.min_bucket_reso=1088",
        "dataset.min_bucket_reso=1024",
        "min_bucket_reso must be equal or less than resolution",
    ),
    "bucket-largest": Case(
        "dataset.max_bucket_reso=960",
        "dataset.max_bucket_reso=1024",
        "max_bucket_reso must be equal or greater than resolution",
    ),
    "bucket-below-step": Case(
        "dataset.min_bucket_reso=32",
        "dataset.min_bucket_reso=64",
        "integer division or modulo by zero",
    ),
    "bucket-steps": Case(
        "dataset.bucket_reso_steps=8", "dataset.bucket_reso_steps=32", "must be divisible by 32"
    ),
    "cached-latents-varied": Case(
        "train.cache_latents=true",
        "train.cache_latents=true dataset.random_crop=false",
        "either color_aug or random_crop cannot be used",
    ),
    "cached-text-varied": Case(
        "train.cache_text_encoder_outputs=true train.train_text_encoder=false"
        " dataset.shuffle_caption=true",
        "train.cache_text_encoder_outputs=true train.train_text_encoder=false",
        "when caching text encoder output",
    ),
    "out-of-range": Case(
        "train.seed=4294967296", "train.seed=4294967295", "Seed must be between 0 and 2**32 - 1"
    ),
    "not-finite": Case("train.learning_rate=nan", "train.learning_rate=1e-6"),
    "caption-extension-dot": Case(
        'dataset.caption_extension="txt"', 'dataset.caption_extension=".caption"'
    ),
    "below-one": Case(
        "train.gradient_accumulation_steps=0",
        "train.gradient_accumulation_steps=2",
        "ZeroDivisionError",
    ),
    # optimizers
    "half-precision": Case(
        'train.full_fp16=true train.mixed_precision="bf16"',
        'train.full_bf16=true train.mixed_precision="bf16"',
        "full_fp16 requires mixed precision",
    ),
    "two-optimizers": Case(
        "train.use_8bit_adam=true",
        'train.use_8bit_adam=true train.optimizer_type="unset"',
        "both option use_8bit_adam and optimizer_type",
    ),
    "two-optimizers-lion": Case(
        "train.use_lion_optimizer=true",
        'train.use_lion_optimizer=true train.optimizer_type="unset"',
        "both option use_lion_optimizer and optimizer_type",
    ),
    "unknown-optimizer": Case(
        'train.optimizer_type="AdamX"', 'train.optimizer_type="RAdam"', "has no attribute 'AdamX'"
    ),
    "optimizer-args-form": Case(
        'train.optimizer_args=["weight_decay=0.1,eps=1=2"]',
        'train.optimizer_args=["weight_decay=0.1"]',
        "too many values to unpack",
    ),
    "unknown-schedule": Case(
        'train.lr_scheduler="zzz"',
        'train.lr_scheduler="cosine"',
        "zzz is not a valid SchedulerType",
    ),
    "schedule-args-form": Case(
        'train.lr_scheduler_args=["gamma"]',
        'train.lr_scheduler_args=["last_epoch=-1"]',
        "not enough values to unpack",
    ),
    "needless-warmup": Case(
        "train.lr_warmup_steps=10",
        'train.lr_warmup_steps=10 train.lr_scheduler="constant_with_warmup"',
        "does not require `num_warmup_steps`",
    ),
    "adafactor-schedule": Case(
        'train.lr_scheduler="adafactor"',
        'train.lr_scheduler="adafactor" train.optimizer_type="Adafactor"',
        "adafactor scheduler must be used with Adafactor",
    ),
    "fused-optimizer": Case(
        "train.fused_backward_pass=true",
        'train.fused_backward_pass=true train.optimizer_type="Adafactor"',
        "fused_backward_pass currently only works with optimizer_type Adafactor",
    ),
    "fused-accumulation": Case(
        'train.fused_backward_pass=true train.optimizer_type="Adafactor"'
        " train.gradient_accumulation_steps=2",
        'train.fused_backward_pass=true train.optimizer_type="Adafactor"',
        "does not work with gradient_accumulation_steps > 1",
    ),
    "fused-twice": Case(
        "train.fused_backward_pass=true train.fused_optimizer_groups=4"
        ' train.optimizer_type="Adafactor"',
        "train.fused_optimizer_groups=4",
    ),
    "fused-fp16": Case(
        'train.fused_backward_pass=true train.optimizer_type="AdamW" train.mixed_precision="fp16"',
        'train.fused_backward_pass=true train.optimizer_type="AdamW" train.mixed_precision="bf16"',
        "do not work with fp16",
        patches=("fused-step",),
    ),
    "adacoor-deepspeed": Case("train.deepspeed=true", "train.deepspeed=false", preset="adacoor"),
    "fused-deepspeed": Case(
        'train.fused_backward_pass=true train.mixed_precision="bf16" train.deepspeed=true',
        'train.fused_backward_pass=true train.mixed_precision="bf16"',
        patches=("fused-step",),
    ),
    "rounding-groups": Case(
        'train.stochastic_rounding=true train.mixed_precision="bf16"'
        " train.fused_optimizer_groups=4",
        'train.stochastic_rounding=true train.mixed_precision="bf16"',
        "--stochastic_rounding does not work with --fused_optimizer_groups",
        patches=("fused-step",),
    ),
    "rounding-optimizer": Case(
        'train.stochastic_rounding=true train.mixed_precision="bf16" train.optimizer_type="SGD"',
        'train.stochastic_rounding=true train.mixed_precision="bf16" train.optimizer_type="Lion"',
        "work with AdaCoor, AdamW and Lion, not with torch.optim.sgd.SGD",
        patches=("fused-step",),
    ),
    "rounding-args": Case(
        'train.stochastic_rounding=true train.mixed_precision="bf16"'
        ' train.optimizer_args=["amsgrad=True"]',
        'train.mixed_precision="bf16" train.optimizer_args=["amsgrad=True"]',
        "--stochastic_rounding does not work with AdamW's amsgrad=True",
        patches=("fused-step",),
    ),
    "rounded-twice": Case(
        "train.stochastic_rounding=true train.kahan_summation=true"
        ' train.mixed_precision="bf16" train.full_bf16=true',
        'train.kahan_summation=true train.mixed_precision="bf16" train.full_bf16=true',
        "--kahan_summation and --stochastic_rounding are two ways",
        patches=("fused-step",),
    ),
    "kahan-groups": Case(
        'train.kahan_summation=true train.mixed_precision="bf16" train.full_bf16=true'
        " train.fused_optimizer_groups=4",
        'train.kahan_summation=true train.mixed_precision="bf16" train.full_bf16=true',
        "--kahan_summation does not work with --fused_optimizer_groups",
        patches=("fused-step",),
    ),
    "kahan-optimizer": Case(
        'train.kahan_summation=true train.mixed_precision="bf16" train.full_bf16=true'
        ' train.optimizer_type="SGD"',
        'train.kahan_summation=true train.mixed_precision="bf16" train.full_bf16=true'
        ' train.optimizer_type="Lion"',
        "work with AdaCoor, AdamW and Lion, not with torch.optim.sgd.SGD",
        patches=("fused-step",),
    ),
    "kahan-args": Case(
        'train.kahan_summation=true train.mixed_precision="bf16" train.full_bf16=true'
        ' train.optimizer_args=["amsgrad=True"]',
        'train.mixed_precision="bf16" train.optimizer_args=["amsgrad=True"]',
        "--kahan_summation does not work with AdamW's amsgrad=True",
        patches=("fused-step",),
    ),
    "kahan-idle": Case(
        'train.kahan_summation=true train.mixed_precision="bf16"',
        'train.kahan_summation=true train.mixed_precision="bf16" train.full_bf16=true',
        patches=("fused-step",),
    ),
    "rounding-idle": Case(
        'train.stochastic_rounding=true train.mixed_precision="bf16"',
        'train.stochastic_rounding=true train.mixed_precision="bf16" train.full_bf16=true',
        patches=("fused-step",),
    ),
    "fused-saves-nothing": Case(
        "train.fused_backward_pass=true train.gradient_accumulation_steps=2",
        "train.fused_backward_pass=true",
        patches=("fused-step",),
    ),
    # tools
    "extract-sdxl": Case("extract.sdxl=false", "extract.sdxl=true"),
    "extract-v2": Case("extract.v2=true", "extract.v2=false"),
    "dynamic-param": Case(
        'resize.dynamic_method="sv_fro"', 'resize.dynamic_method="sv_fro" resize.dynamic_param=0.9'
    ),
    "resize-alone": Case("extract=unset", "extract=unset resize=unset"),
    "resize-larger": Case("resize.new_rank=1024", "resize.new_rank=512"),
    # silent
    "steps-overridden": Case("train.max_train_steps=100", "train.max_train_epochs=10"),
    "default-steps": Case("train.max_train_epochs=unset", "train.max_train_epochs=10"),
    "cache-implied": Case(
        "train.cache_latents_to_disk=true dataset.random_crop=false",
        "train.cache_latents_to_disk=true train.cache_latents=true dataset.random_crop=false",
    ),
    "zero-snr": Case(
        "train.zero_terminal_snr=true", "train.zero_terminal_snr=true train.v_parameterization=true"
    ),
    "clip-skip": Case("train.clip_skip=2", "train.keep_tokens=1"),
    "v-prediction": Case(
        "train.v_parameterization=true", "train.v_parameterization=false", None, "v0.9.1"
    ),
    "text-rates-idle": Case(
        "train.train_text_encoder=false train.learning_rate_te1=1e-6",
        "train.learning_rate_te1=1e-6",
    ),
    "two-attentions": Case("train.xformers=true train.sdpa=true", "train.sdpa=true"),
    "noise-strength-idle": Case(
        "train.noise_offset_random_strength=true",
        "train.noise_offset_random_strength=true train.noise_offset=0.1",
    ),
    "ip-noise-strength-idle": Case(
        "train.ip_noise_gamma_random_strength=true",
        "train.ip_noise_gamma_random_strength=true train.ip_noise_gamma=0.1",
    ),
    "huber-idle": Case("train.huber_c=0.2", 'train.huber_c=0.2 train.loss_type="huber"'),
    "bucket-limits-idle": Case("dataset.bucket_no_upscale=true", "dataset.bucket_no_upscale=false"),
    "cycles-idle": Case(
        "train.lr_scheduler_num_cycles=3",
        'train.lr_scheduler_num_cycles=3 train.lr_scheduler="cosine_with_restarts"',
    ),
    "power-idle": Case(
        "train.lr_scheduler_power=2",
        'train.lr_scheduler_power=2 train.lr_scheduler="polynomial"',
    ),
    "adafactor-rate": Case(
        'train.optimizer_type="Adafactor"',
        'train.optimizer_type="Adafactor" train.optimizer_args=["relative_step=False"]',
    ),
    "timesteps-reversed": Case(
        "train.min_timestep=500 train.max_timestep=500",
        "train.min_timestep=500 train.max_timestep=501",
    ),
    "keep-last-idle": Case(
        "train.save_last_n_epochs=2", "train.save_last_n_epochs=2 train.save_every_n_epochs=10"
    ),
    "validation-share": Case("dataset.validation_split=20.0", "dataset.validation_split=0.0"),
    "never-validated": Case("dataset.validation_split=0.1", "dataset.validation_split=0.0"),
    # schedules
    "optimizer-argument": Case(
        'train.optimizer_args=["wieght_decay=0.1"]',
        'train.optimizer_args=["weight_decay=0.1","betas=(0.9,0.99)"]',
        "unexpected keyword argument",
    ),
    "trailing-comma": Case(
        'train.optimizer_args=["amsgrad=False,"]', 'train.optimizer_args=["betas=(0.9,0.99)"]'
    ),
    "schedule-argument": Case(
        'train.lr_scheduler="cosine_with_min_lr"',
        'train.lr_scheduler="cosine_with_min_lr" train.lr_scheduler_min_lr_ratio=0.1',
        "min_lr",
    ),
    "unusable-optimizer": Case(
        'train.optimizer_type="SparseAdam"',
        'train.optimizer_type="Adam"',
        "does not support dense gradients",
    ),
    "schedule-idle": Case(
        'train.optimizer_type="AdamWScheduleFree" train.lr_scheduler="cosine"',
        'train.optimizer_type="AdamWScheduleFree"',
    ),
    "decay-missing": Case(
        'train.lr_scheduler="warmup_stable_decay"',
        'train.lr_scheduler="warmup_stable_decay" train.lr_decay_steps=0.2',
    ),
    "timescale-idle": Case(
        "train.lr_scheduler_timescale=100",
        'train.lr_scheduler_timescale=100 train.lr_scheduler="inverse_sqrt"',
    ),
    "schedule-class": Case(
        'train.lr_scheduler_type="CosineAnealingLR"',
        'train.lr_scheduler_type="CosineAnnealingLR" train.lr_scheduler_args=["T_max=10"]',
        "has no attribute",
    ),
    "share-of-steps": Case(
        'train.lr_scheduler="constant_with_warmup" train.lr_warmup_steps=100.0',
        'train.lr_scheduler="constant_with_warmup" train.lr_warmup_steps=0.1',
    ),
    "warmup-too-long": Case(
        'train.lr_scheduler="cosine" train.lr_warmup_steps=5000 train.max_train_steps=2000 '
        "train.max_train_epochs=unset",
        'train.lr_scheduler="cosine" train.lr_warmup_steps=200 train.max_train_steps=2000 '
        "train.max_train_epochs=unset",
    ),
    "decay-idle": Case(
        'train.lr_scheduler="cosine" train.lr_decay_steps=100',
        'train.lr_scheduler="warmup_stable_decay" train.lr_decay_steps=100',
    ),
    "min-ratio-idle": Case(
        'train.lr_scheduler="cosine" train.lr_scheduler_min_lr_ratio=0.1',
        'train.lr_scheduler="cosine_with_min_lr" train.lr_scheduler_min_lr_ratio=0.1',
    ),
    # guide
    "adaptive-optimizer": Case(
        'train.optimizer_type="Prodigy" train.learning_rate=1', 'train.optimizer_type="AdamW"'
    ),
    "paged-adamw": Case(
        'train.optimizer_type="PagedAdamW8bit"', 'train.optimizer_type="PagedAdamW"'
    ),
    "rate-too-high": Case("train.learning_rate=2e-6", "train.learning_rate=1e-6"),
    "warmup": Case(
        'train.lr_warmup_steps=10 train.lr_scheduler="constant_with_warmup"',
        'train.lr_scheduler="constant_with_warmup"',
    ),
    "schedule": Case('train.lr_scheduler="cosine"', 'train.lr_scheduler="constant"'),
    "many-epochs": Case("train.max_train_epochs=101", "train.max_train_epochs=100"),
    "counted-in-steps": Case(
        "train.max_train_steps=1000 train.max_train_epochs=unset", "train.max_train_epochs=10"
    ),
    "many-saves": Case(
        "train.save_every_n_epochs=1", "train.save_every_n_epochs=1 train.save_last_n_epochs=2"
    ),
    "cached-latents": Case(
        "train.cache_latents=true dataset.random_crop=false", "dataset.random_crop=false"
    ),
    "full-fp16": Case(
        "train.full_fp16=true", 'train.full_fp16=true train.optimizer_type="AdamW8bit"'
    ),
    "full-half": Case(
        'train.full_bf16=true train.mixed_precision="bf16"', 'train.mixed_precision="bf16"'
    ),
    "mixed-precision": Case('train.mixed_precision="bf16"', 'train.mixed_precision="fp16"'),
    "min-snr-gamma": Case("train.min_snr_gamma=unset", "train.min_snr_gamma=5.0"),
    "text-encoder-off": Case("train.train_text_encoder=false", "train.learning_rate_te2=0"),
    "half-vae": Case(
        "train.no_half_vae=false", 'train.no_half_vae=false train.mixed_precision="bf16"'
    ),
    "large-batch": Case("dataset.batch_size=4", "dataset.batch_size=3"),
    "regularization": Case('train.reg_data_dir="reg"', "dataset.is_reg=false"),
    "low-clamp": Case("extract.clamp_quantile=0.99", "extract.clamp_quantile=1.0"),
    "large-rank": Case("extract.dim=512 resize=unset", "extract.dim=512"),
    "noise-offset": Case("train.noise_offset=0.05", "train.noise_offset=0.0"),
    "v-pred-like": Case("train.v_pred_like_loss=0.1", "train.min_snr_gamma=5"),
    "cached-text": Case(
        "train.cache_text_encoder_outputs=true train.train_text_encoder=false",
        "train.cache_text_encoder_outputs=false",
    ),
    "few-timesteps": Case("train.min_timestep=100", "train.min_timestep=0"),
    "few-timesteps-above": Case("train.max_timestep=900", "train.min_timestep=0"),
    "caption-dropout": Case(
        "dataset.caption_dropout_rate=0.05", "dataset.caption_dropout_rate=0.0"
    ),
    "caption-dropout-epochs": Case(
        "dataset.caption_dropout_every_n_epochs=5", "dataset.caption_dropout_every_n_epochs=0"
    ),
    "color-augmentation": Case("dataset.color_aug=true", "dataset.color_aug=false"),
    "flip-augmentation": Case("dataset.flip_aug=true", "dataset.flip_aug=false"),
    # lessons
    "ema-values": Case(
        "train.ema_decay=1.0",
        "train.ema_decay=0.9",
        "--ema_decay must be",
        preset="a100-ema",
    ),
    "ema-deepspeed": Case(
        "train.deepspeed=true",
        "train.deepspeed=false",
        "--enable_ema does not work with --deepspeed",
        preset="a100-ema",
    ),
    "ema-idle": Case("train.enable_ema=false", "train.enable_ema=true", preset="a100-ema"),
    "ema-learns-nothing": Case(
        "train.ema_exp_beta=1e6 train.max_train_epochs=3",
        "train.ema_exp_beta=15",
        preset="a100-ema",
    ),
    "text-rate-zero": Case("train.learning_rate_te2=0", "train.learning_rate_te2=1e-6"),
    "rounded-away": Case(
        'train.full_bf16=true train.mixed_precision="bf16"',
        'train.full_bf16=true train.mixed_precision="bf16" train.fused_backward_pass=true'
        ' train.optimizer_type="Adafactor"',
    ),
    "text-encoders-dropped": Case("extract.min_diff=unset", "extract.min_diff=1e-5"),
    "foreign-rate": Case("train.learning_rate=1", "train.learning_rate=1e-6"),
    "caption-extension": Case(
        "dataset.caption_extension=unset",
        'dataset.caption_extension=unset train.caption_extension=".txt"',
    ),
    "resumed-count": Case('train.resume="state"', "train.save_state=true"),
}
