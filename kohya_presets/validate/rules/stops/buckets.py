"""What stops sd-scripts at the limits of its buckets."""

from __future__ import annotations

from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.scripts import KNOWN
from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules.rule import NEVER, READING_IMAGES, Finding, Rule

LEAST_MULTIPLE = min(kind.multiple for kind in KNOWN.values())
STEP = 64  # the default of bucket_reso_steps


def bucket_smallest(s: Settings) -> Finding | None:
    sides, smallest = s.sides(), s.dataset("min_bucket_reso")
    if not s.dataset("enable_bucket") or not sides:
        return None
    if not _shuts_out(s, "min_bucket_reso", smallest):
        return None
    message = f"min_bucket_reso is {smallest}, larger than the resolution ({min(sides)})"
    hint = f"Use min_bucket_reso = {min(sides) // 4}."
    return Finding(*s.where("min_bucket_reso"), message, hint)


def bucket_largest(s: Settings) -> Finding | None:
    sides, largest = s.sides(), s.dataset("max_bucket_reso")
    if not s.dataset("enable_bucket") or not sides:
        return None
    if not _shuts_out(s, "max_bucket_reso", largest):
        return None
    message = f"max_bucket_reso is {largest}, smaller than the resolution ({max(sides)})"
    return Finding(*s.where("max_bucket_reso"), message, f"Use max_bucket_reso = {2 * max(sides)}.")


def bucket_limits(s: Settings) -> Finding | None:
    keys = ("min_bucket_reso", "max_bucket_reso")
    for switch, off in (("enable_bucket", False), ("bucket_no_upscale", True)):
        given = [key for key in keys if s.changed(*s.where(key)) is not None]
        if switch == "bucket_no_upscale":
            # Without upscaling, sd-scripts still compares the limit with the resolution.
            given = [key for key in given if not _shuts_out(s, key, _default(s, key))]
        if s.is_whole and given and bool(s.dataset(switch)) is off:
            without = "without enable_bucket" if switch == "enable_bucket" else f"with {switch}"
            message = f"{given[0]} has no effect {without}"
            return Finding(*s.where(given[0]), message, f"Leave {given[0]} out.")
    return None


def _shuts_out(s: Settings, limit: str, value: int | None) -> bool:
    """Return whether the resolution lies beyond a limit of this value: sd-scripts then stops."""
    sides, step = s.sides(), s.dataset("bucket_reso_steps") or STEP
    if not sides or not value:
        return False
    rounds = _is(s, ">=0.9.0")  # to whole steps, outwards
    if limit == "min_bucket_reso":
        return (value - value % step if rounds else value) > min(sides)
    return (value + -value % step if rounds else value) < max(sides)


def bucket_below_step(s: Settings) -> Finding | None:
    smallest, step = s.dataset("min_bucket_reso"), s.dataset("bucket_reso_steps") or STEP
    if not s.dataset("enable_bucket") or s.dataset("bucket_no_upscale") or smallest is None:
        return None
    least = 1 if _is(s, ">=0.7.1,<0.9.0") else step
    if smallest >= least:
        return None
    message = f"min_bucket_reso is {smallest}, smaller than one step (bucket_reso_steps = {step})"
    if least == 1:
        message = f"min_bucket_reso is {smallest}"
    return Finding(*s.where("min_bucket_reso"), message, "Use min_bucket_reso = 256.")


def _is(s: Settings, spec: str) -> bool:
    return options.is_in(s.release, spec)


def _default(s: Settings, key: str) -> int | None:
    table, name = s.where(key)
    default: int | None = s.known(table)[name].default
    return default


def bucket_steps(s: Settings) -> Finding | None:
    steps = s.dataset("bucket_reso_steps")
    multiple = KNOWN[s.script].multiple if s.script in KNOWN else LEAST_MULTIPLE
    if not s.dataset("enable_bucket") or not steps or steps % multiple == 0:
        return None
    message = f"bucket_reso_steps is {steps}, which is not a multiple of {multiple}"
    return Finding(*s.where("bucket_reso_steps"), message, "Use bucket_reso_steps = 64.")


RULES = (
    Rule(
        "bucket-smallest",
        "error",
        "min_bucket_reso must be at most the smaller side of resolution",
        bucket_smallest,
        "library/train_util.py, DreamBoothDataset: min_bucket_reso up to the resolution",
        fails=READING_IMAGES,
        options=("min_bucket_reso", "resolution"),
    ),
    Rule(
        "bucket-largest",
        "error",
        "max_bucket_reso must be at least the larger side of resolution",
        bucket_largest,
        "library/train_util.py, DreamBoothDataset: max_bucket_reso from the resolution",
        fails=READING_IMAGES,
        options=("max_bucket_reso", "resolution"),
    ),
    Rule(
        "bucket-limits-idle",
        "warning",
        "min_bucket_reso and max_bucket_reso need enable_bucket without bucket_no_upscale",
        bucket_limits,
        "library/train_util.py, make_buckets: both are ignored",
        fails=NEVER,
        options=("min_bucket_reso", "max_bucket_reso", "enable_bucket", "bucket_no_upscale"),
    ),
    Rule(
        "bucket-below-step",
        "error",
        "min_bucket_reso must not be smaller than bucket_reso_steps",
        bucket_below_step,
        "library/model_util.py, make_bucket_resolutions divides by it, rounded down from v0.9.0 on",
        fails=READING_IMAGES,
        options=("min_bucket_reso", "bucket_reso_steps"),
    ),
    Rule(
        "bucket-steps",
        "error",
        "bucket_reso_steps must be a multiple of 32 (64 with train_network.py)",
        bucket_steps,
        "library/train_util.py, verify_bucket_reso_steps: a multiple of what each script gives it",
        fails=READING_IMAGES,
        options=("bucket_reso_steps",),
    ),
)
