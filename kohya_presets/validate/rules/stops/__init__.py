"""Rules about what stops sd-scripts, at once or later."""

from kohya_presets.validate.rules.rule import Rule
from kohya_presets.validate.rules.stops import (
    arguments,
    buckets,
    files,
    fused,
    images,
    loras,
    optimizers,
    ranges,
    schedules,
)

RULES: tuple[Rule, ...] = (
    *arguments.RULES,
    *files.RULES,
    *images.RULES,
    *buckets.RULES,
    *optimizers.RULES,
    *fused.RULES,
    *ranges.RULES,
    *schedules.RULES,
    *loras.RULES,
)
