"""Rules about what sd-scripts accepts, with at most a line in its log, but does not follow."""

from kohya_presets.validate.rules.rule import Rule
from kohya_presets.validate.rules.silent import loss, training

RULES: tuple[Rule, ...] = (*training.RULES, *loss.RULES)
