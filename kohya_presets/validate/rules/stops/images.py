"""What stops sd-scripts when it reads the dataset and its images."""

from __future__ import annotations

from kohya_presets.sdscripts.scripts import is_sdxl
from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import NEVER, READING_IMAGES, UNVALIDATED, Finding, Rule

CACHES_TEXT = ("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk")
CACHES_LATENTS = ("cache_latents", "cache_latents_to_disk")


def no_resolution(s: Settings) -> Finding | None:
    if s.kind == "config" or s.dataset("resolution") is not None:  # the command line may say it
        return None
    hint = "Use resolution = [1024, 1024], the size of SDXL." if is_sdxl(s.script) else None
    return Finding("dataset", "resolution", "resolution is missing", hint)


def cached_text_varied(s: Settings) -> Finding | None:
    cached = next((key for key in CACHES_TEXT if s.train(key)), None)
    varied = ("caption_dropout_rate", "shuffle_caption", "token_warmup_step")
    if not cached:
        return None
    for key in (*varied, "caption_tag_dropout_rate"):
        if s.dataset(key):
            message = f"{key} does not work with {cached}: cached captions cannot change"
            return Finding(*s.where(key), message, f"Delete {key} or {cached}.")
    return None


def cached_latents_varied(s: Settings) -> Finding | None:
    cached = next((key for key in CACHES_LATENTS if s.train(key)), None)
    for key in ("random_crop", "color_aug"):
        if cached and s.dataset(key):
            message = f"{key} does not work with {cached}: cached images cannot change"
            hint = f"Delete {key} or {cached}. The guide uses random_crop without caching."
            return Finding(*s.where(key), message, hint)
    return None


def extension_without_dot(s: Settings) -> Finding | None:
    given = s.dataset("caption_extension")
    if not given or str(given).startswith((".", "_", "-")):
        return None
    message = f"caption_extension has no dot: sd-scripts looks for IMAGE{given}"
    return Finding(*s.where("caption_extension"), message, f'Use caption_extension = ".{given}".')


def below_one(s: Settings) -> Finding | None:
    for key in ("batch_size", "num_repeats"):
        if (value := s.dataset(key)) is not None and value < 1:
            return Finding(*s.where(key), f"expected {key} of 1 or more, found {value}")
    accumulation = s.train("gradient_accumulation_steps")
    if accumulation is not None and accumulation < 1:
        key = "gradient_accumulation_steps"
        return Finding("train", key, f"expected {key} of 1 or more, found {accumulation}")
    return None


def never_validated(s: Settings) -> Finding | None:
    if not s.dataset("validation_split"):
        return None
    message = f"validation_split takes images away, but {s.script} never validates"
    return Finding(*s.where("validation_split"), message, "Leave validation_split out.")


def no_share(s: Settings) -> Finding | None:
    share = s.dataset("validation_split")
    if share is None or 0 <= share < 1:
        return None
    message = f"expected validation_split below 1, such as 0.1, found {share:g}"
    return Finding(*s.where("validation_split"), message, "It is the share of the images.")


def metadata_without_cache(s: Settings) -> Finding | None:
    named = s.given("train", "in_json") or s.given("dataset", "metadata_file")
    if not named or not s.is_whole or any(s.train(key) for key in CACHES_LATENTS):
        return None
    table, key = (
        ("train", "in_json") if s.given("train", "in_json") else ("dataset", "metadata_file")
    )
    message = f"this sd-scripts release cannot read {key} without cache_latents"
    hint = "Use a folder of images with .txt captions instead, or v0.10.6 or newer."
    return Finding(table, key, message, hint)


# The others have a caching strategy in any case.
CACHES_IF_ASKED = (
    *("sdxl_train.py", "fine_tune.py", "flux_train.py", "flux_train_control_net.py"),
    *("sd3_train.py", "lumina_train.py", "anima_train.py"),
)
RULES = (
    Rule(
        "validation-share",
        "error",
        "validation_split must be below 1",
        no_share,
        "library/train_util.py, split_train_val: leaves no images to train on",
        releases=">=0.10.0",
        fails=NEVER,
        options=("validation_split",),
    ),
    Rule(
        "never-validated",
        "warning",
        "validation_split is for the scripts that validate, those for LoRAs",
        never_validated,
        "sdxl_train.py, train: builds the validation set and does not use it",
        releases=">=0.10.0",
        fails=NEVER,
        options=("validation_split",),
        scripts=UNVALIDATED,
    ),
    Rule(
        "no-resolution",
        "error",
        "a dataset needs a resolution",
        no_resolution,
        "library/train_util.py, DreamBoothDataset: asserts a resolution",
        fails=READING_IMAGES,
        options=("resolution",),
    ),
    Rule(
        "cached-latents-varied",
        "error",
        "cache_latents does not work with random_crop and color_aug",
        cached_latents_varied,
        "sdxl_train.py, train: asserts is_latent_cacheable",
        fails=READING_IMAGES,
        options=("cache_latents", "random_crop", "color_aug"),
    ),
    Rule(
        "cached-text-varied",
        "error",
        "cache_text_encoder_outputs does not work with shuffle_caption, token_warmup_step, "
        "caption_dropout_rate and caption_tag_dropout_rate",
        cached_text_varied,
        "sdxl_train.py, train: asserts is_text_encoder_output_cacheable",
        fails=READING_IMAGES,
        options=(
            "cache_text_encoder_outputs",
            "shuffle_caption",
            "token_warmup_step",
            "caption_dropout_rate",
            "caption_tag_dropout_rate",
        ),
    ),
    Rule(
        "metadata-uncached",
        "error",
        "in_json and metadata_file need cache_latents",
        metadata_without_cache,
        "library/train_util.py, FineTuningDataset: asks the caching strategy, which is None",
        releases=">=0.10.0,<0.10.6",
        not_in=("8ebe858f8963", "2e0fcc50cb34"),
        fails=READING_IMAGES,
        options=("in_json", "metadata_file", "cache_latents"),
        scripts=CACHES_IF_ASKED,
    ),
    Rule(
        "caption-extension-dot",
        "warning",
        "caption_extension must start with a dot",
        extension_without_dot,
        "library/train_util.py, read_caption: the image's name without its suffix, and this",
        fails=NEVER,
        options=("caption_extension",),
    ),
    Rule(
        "below-one",
        "error",
        "batch_size, num_repeats and gradient_accumulation_steps must be 1 or more",
        below_one,
        "library/train_util.py and sdxl_train.py: numbers that are divided by, or leave no image",
        fails=READING_IMAGES,
        options=("batch_size", "num_repeats", "gradient_accumulation_steps"),
    ),
)
