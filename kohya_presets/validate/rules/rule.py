"""A rule: one combination of settings that is wrong, or that people advise against.

`needs`, `excludes` and `only_with` are checks that several rules share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kohya_presets.problems import Problem, Severity
from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.scripts import EMBEDDING, KNOWN, LORA, is_sdxl
from kohya_presets.training.settings import Settings

FINE_TUNE = ("sdxl_train.py",)
SDXL = tuple(script for script in KNOWN if is_sdxl(script))
EVERY = tuple(KNOWN)
UNVALIDATED = tuple(name for name, kind in KNOWN.items() if kind.makes != LORA)
NO_EMBEDDING = tuple(name for name, kind in KNOWN.items() if kind.makes != EMBEDDING)


class Finding(NamedTuple):
    """What a rule found: the setting to look at, what is wrong, what to do."""

    table: str
    key: str
    message: str
    hint: str | None = None


class Rule(NamedTuple):
    """One rule: `says` is the rule in one line; `options` are those it is about.

    `citation` says where it comes from: sd-scripts' file and condition, a section of the guide, or
    a thread. `scripts` are those it holds for, `releases` is the range; `not_in` names commits
    between two releases that lie in that range and differ. `fails` says when sd-scripts itself
    would notice, if ever.
    """

    code: str
    severity: Severity
    says: str
    find: Callable[[Settings], Finding | None]
    citation: str
    releases: str = ">=0.7.0"
    not_in: tuple[str, ...] = ()
    fails: str = ""
    options: tuple[str, ...] = ()
    scripts: tuple[str, ...] = EVERY

    def holds_for(self, release: str) -> bool:
        """Return whether the rule is about this release, or commit between two."""
        return release not in self.not_in and options.is_in(release, self.releases)

    def check(self, settings: Settings) -> Problem | None:
        """Return the problem that `settings` have, of a release that the rule holds for."""
        if (found := self.find(settings)) is None:
            return None
        if found.table not in settings.tables and settings.kind == "config":
            return None  # that file does not exist here
        if settings.is_malformed(found.table, found.key):
            return None  # already reported
        where = settings.place(found.table, found.key)
        return Problem(self.code, self.severity, where, found.message, found.hint)


def needs(key: str, other: str, hint: str | None = None) -> Callable[[Settings], Finding | None]:
    """Return a check that the training option `key` is given only with `other`."""

    def find(s: Settings) -> Finding | None:
        if s.given("train", key) in (None, False) or s.train(other) not in (None, False):
            return None
        message = f"{key} needs {other}"
        return Finding("train", key, message, hint or f"Set {other} too, or leave {key} out.")

    return find


def excludes(key: str, *others: str) -> Callable[[Settings], Finding | None]:
    """Return a check that the training option `key` is not given with one of `others`."""

    def find(s: Settings) -> Finding | None:
        both = [other for other in others if s.train(other)]
        if not s.train(key) or not both:
            return None
        message = f"{key} does not work with {both[0]}"
        return Finding("train", key, message, "Delete one of the two.")

    return find


def only_with(
    keys: tuple[str, ...], acts: Callable[[Settings], bool], condition: str
) -> Callable[[Settings], Finding | None]:
    """Return a check that none of `keys` is given where it has no effect."""

    def find(s: Settings) -> Finding | None:
        idle = [key for key in keys if s.changed("train", key) not in (None, False)]
        if not idle or acts(s):
            return None
        message = f"{idle[0]} has no effect {condition}"
        return Finding("train", idle[0], message, f"Leave {idle[0]} out.")

    return find


# When sd-scripts notices.
AT_ONCE = "at once"
READING_IMAGES = "when it reads the images"
LOADING = "when it begins to load the model"
MODEL_LOADED = "after the model is loaded"
FIRST_STEP = "at the first step"
FIRST_SAVE = "at the first save"
EXTRACTING = "after the training, when the LoRA is extracted"
RESIZING = "after the training, when the LoRA is resized"
NEVER = "never"
