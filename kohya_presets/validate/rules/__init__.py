"""The rules: which combinations of settings fail, have no effect, or give worse results.

`stops` holds what stops sd-scripts, `silent` what it accepts but does not follow, `advice` what
people found. Each rule names its source and its releases.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from kohya_presets.problems import Problem
from kohya_presets.sdscripts.scripts import KNOWN
from kohya_presets.training.settings import Settings
from kohya_presets.validate.rules import advice, silent, stops
from kohya_presets.validate.rules.rule import EVERY, Rule

CONFLICTS: tuple[Rule, ...] = (*stops.RULES, *silent.RULES)
RULES: tuple[Rule, ...] = (*CONFLICTS, *advice.RULES)


def check(settings: Settings) -> Iterator[Problem]:
    """Yield what the rules find wrong with `settings`."""
    for rule in _held(settings.release, settings.script):
        if settings.model_assumed and _is_of_a_model(rule):
            continue
        if problem := rule.check(settings):
            yield problem


def _is_of_a_model(rule: Rule) -> bool:
    """Return whether a rule tells only how to train one model well, such as SDXL."""
    return rule.severity != "error" and len({KNOWN[name].model for name in rule.scripts}) == 1


@functools.cache
def _held(release: str, script: str) -> tuple[Rule, ...]:
    """Return the rules for a script; without one, as of a dataset config alone, those for all."""
    every = (rule for rule in RULES if rule.holds_for(release))
    return tuple(r for r in every if (script in r.scripts if script else r.scripts == EVERY))


def conflicts(option: str) -> list[Rule]:
    """Return the rules about which options work together with this one."""
    return [rule for rule in CONFLICTS if option in rule.options]
