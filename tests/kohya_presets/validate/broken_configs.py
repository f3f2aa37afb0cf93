"""Broken files of sd-scripts, made of good ones by one change each, and what is wrong with each.

The good ones are what `render` writes for every shipped preset; a change sets one key, as TOML, in
one of the two files.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from kohya_presets.presets.catalogue import SHIPPED, Catalogue
from kohya_presets.sdscripts import options


class Broken(NamedTuple):
    """One change to the training config ("train") or the dataset config, and the code it earns.

    `name` is the option that a misspelled key should have been. `severity` is a warning where
    sd-scripts trains on, and a note where nothing is lost.
    """

    file: str
    line: str
    code: str
    name: str | None = None
    release: str = "v0.10.1"
    severity: str = "error"


TYPES = (
    ("train", 'learning_rate = "1e-5"'),
    ("train", 'learning_rate_te1 = "1e-6"'),
    ("train", 'train_text_encoder = "false"'),
    ("train", 'max_train_epochs = "100"'),
    ("train", "max_train_epochs = 1.5"),
    ("train", 'optimizer_args = "weight_decay=0.1"'),
    ("train", "optimizer_args = [1, 2]"),
    ("train", 'lr_warmup_steps = "10%"'),
    ("train", "resolution = 1024"),
    ("train", 'min_snr_gamma = "5"'),
    ("train", "seed = true"),
    ("train", "save_every_n_epochs = [1]"),
    ("train", "output_name = 7"),
    ("train", 'gradient_accumulation_steps = "3"'),
    ("train", 'max_data_loader_n_workers = "0"'),
    ("dataset", 'keep_tokens = "1"'),
    ("dataset", "batch_size = 2.0"),
    ("dataset", "max_bucket_reso = 1024.0"),
    ("dataset", "validation_split = 0"),
    ("dataset", "caption_extension = true"),
    ("dataset", 'random_crop = "yes"'),
    ("dataset", "face_crop_aug_range = 2.0"),
    ("dataset", 'resolution = "1024,1024"'),
)
CHOICES = (
    ("train", 'mixed_precision = "fp8"'),
    ("train", 'loss_type = "l3"'),
    ("train", 'log_with = "csv"'),
    ("train", "max_token_length = 74"),
)
OTHERWISE = (  # what sd-scripts takes as something else
    ("train", 'save_precision = "fp61"', "wrong-choice", "warning"),
    ("train", 'save_model_as = "safetensor"', "wrong-choice", "warning"),
    ("train", "max_token_length = 76", "wrong-choice", "warning"),
    ("train", "network_dim = 16", "other-script", "warning"),
    ("train", "dynamic_method = 'sv_fro'", "unknown-option", "warning"),
    ("train", "clamp_quantile = 1.0", "unknown-option", "warning"),
    ("train", 'huber_schedule = "cosine"', "loose-value", "note"),
    ("train", 'sample_sampler = "euler_b"', "loose-value", "note"),
)
CONFLICTS = (
    ("train", 'lr_scheduler = "zzz"', "unknown-schedule"),
    ("train", 'optimizer_type = "AdamX"', "unknown-optimizer"),
    ("train", 'optimizer_args = ["a=1 b=2"]', "optimizer-args-form"),
    ("train", "lr_warmup_steps = 100", "needless-warmup"),
    ("train", "cache_latents = true", "cached-latents-varied"),
    ("train", "cache_latents_to_disk = true", "cached-latents-varied"),
    ("train", "cache_text_encoder_outputs = true", "cached-text-trained"),
    ("train", "fused_backward_pass = true", "fused-optimizer"),
    ("train", "full_bf16 = true", "half-precision"),
    ("train", "adaptive_noise_scale = 0.1", "adaptive-noise"),
    ("train", "use_8bit_adam = true", "two-optimizers"),
    ("train", 'block_lr = "1e-6"', "block-rates"),
    ("train", 'face_crop_aug_range = "3,2"', "face-crop-form"),
    ("train", "v2 = true", "v2-on-sdxl"),
    ("train", 'log_with = "tensorboard"', "no-log-folder"),
    ("train", "save_every_n_steps = 0", "save-every-zero"),
    ("train", 'vae = ""', "empty-text"),
    ("train", 'vae = "C:\\\\train\\tvae"', "backslash"),
    ("dataset", "min_bucket_reso = 1088", "bucket-smallest"),
    ("dataset", "max_bucket_reso = 512", "bucket-largest"),
    ("dataset", "bucket_reso_steps = 48", "bucket-steps"),
    ("dataset", "batch_size = 0", "below-one"),
)
ELSEWHERE = (
    ("train", "num_repeats = 2", "dataset-option"),
    ("train", "batch_size = 2", "dataset-option"),
    ("train", "is_reg = true", "dataset-option"),
    ("train", "class_tokens = 'a'", "dataset-option"),
    ("dataset", "learning_rate = 1.0", "training-option"),
    ("dataset", "max_train_epochs = 3", "training-option"),
    ("dataset", "image_dir = 'x'", "wrong-level"),
    ("train", "enable_ema = true", "missing-patch"),
    ("train", "ema_decay = 0.9", "missing-patch"),
)
RELEASES = (  # options and values of a newer release than the one asked for
    ("train", "fused_backward_pass = true", "option-too-new", "v0.8.8"),
    ("train", "huber_scale = 0.5", "option-too-new", "v0.9.1"),
    ("train", "skip_image_resolution = '64'", "option-too-new", "v0.10.1"),
    ("train", "learning_rate_te1 = 1e-6", "option-too-new", "v0.7.0"),
    ("train", "lr_warmup_steps = 0.1", "wrong-type", "v0.8.8"),
    ("train", "loss_type = 'l1'", "wrong-choice", "v0.9.1"),
    ("train", "optimizer_type = 'PagedAdamW'", "unknown-optimizer", "v0.7.1"),
    ("train", "optimizer_type = 'AdamWScheduleFree'", "unknown-optimizer", "v0.9.1"),
    ("train", "lr_scheduler = 'inverse_sqrt'", "unknown-schedule", "v0.8.8"),
    ("train", "weighted_captions = true", "weighted-captions", "v0.9.1"),
    ("dataset", "resize_interpolation = 'area'", "option-too-new", "v0.9.1"),
    ("dataset", "custom_attributes = {}", "option-too-new", "v0.8.8"),
)
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def corpus() -> list[Broken]:
    """Return all broken changes but the typos."""
    return [
        *(Broken(file, line, "wrong-type") for file, line in TYPES),
        *(Broken(file, line, "wrong-choice") for file, line in CHOICES),
        *(Broken(file, line, code) for file, line, code in (*CONFLICTS, *ELSEWHERE)),
        *(Broken(file, line, code, severity=told) for file, line, code, told in OTHERWISE),
        *(Broken(file, line, code, None, release) for file, line, code, release in RELEASES),
    ]


def typos() -> list[Broken]:
    """Return one of each kind of slip for every option that a shipped preset uses."""
    dice = random.Random(1)
    found = []
    for table, name in sorted(_used()):
        known = options.of("sdxl_train.py") if table == "train" else options.dataset()
        for slip in (_dropped, _doubled, _swapped, _neighbor):
            wrong = slip(name, dice)
            if wrong not in known and wrong != name:
                found.append(Broken(table, f"{wrong} = 1", "unknown-option", name))
    return found


def _used() -> set[tuple[str, str]]:
    catalogue = Catalogue((SHIPPED,))
    presets = [catalogue.load(name) for name in catalogue.names()]
    used = {(t, k) for p in presets for t in ("train", "dataset") for k in p.tables[t]}
    return {(table, key) for table, key in used if not key.startswith(("ema_", "enable_ema"))}


def _dropped(name: str, dice: random.Random) -> str:
    at = dice.randrange(1, len(name))
    return name[:at] + name[at + 1 :]


def _doubled(name: str, dice: random.Random) -> str:
    at = dice.randrange(len(name))
    return name[: at + 1] + name[at:]


def _swapped(name: str, dice: random.Random) -> str:
    at = dice.randrange(len(name) - 1)
    return name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def _neighbor(name: str, dice: random.Random) -> str:
    letters = [at for at, letter in enumerate(name) if letter.isalpha()]
    at = dice.choice(letters)
    row = next(row for row in KEYBOARD if name[at] in row)
    beside = row[(row.index(name[at]) + 1) % len(row)]
    return name[:at] + beside + name[at + 1 :]
