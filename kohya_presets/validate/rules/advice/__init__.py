"""Rules from people's experience: what the guide advises, and what users learned."""

from kohya_presets.validate.rules.advice import guide, guide_dataset, lessons
from kohya_presets.validate.rules.rule import Rule

RULES: tuple[Rule, ...] = (*guide.RULES, *guide_dataset.RULES, *lessons.RULES)
