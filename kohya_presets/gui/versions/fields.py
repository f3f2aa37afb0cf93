"""What each version of the Kohya GUI saves in a tab's file, and what it sends to sd-scripts.

`tools/gui/make.py` reads this from its sources; the file holds changes, each tag against the one
before. It is the only table between fields and options: `export` and `read` both use it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kohya_presets.errors import UserError
from kohya_presets.problems import did_you_mean
from kohya_presets.sdscripts import releases, scripts

FACTS = Path(__file__).parents[1] / "facts.json"
TABS = {
    "sdxl_train.py": "finetune",
    **dict.fromkeys(("sdxl_train_network.py", "train_network.py", "flux_train_network.py"), "lora"),
}
ENFORCING = (25, 0, 0)  # from here on the GUI's server refuses what is not among the choices
_OTHERS = ("SD", "FLUX")  # models whose rules differ from SDXL's
_PARTS = ("fields", "options", "networks", "ways", *_OTHERS)


class Field(NamedTuple):
    """A key of the file and its widget: `kind` is "bool", "number", "text" or "choice"."""

    name: str
    kind: str
    default: Any = None
    choices: tuple[Any, ...] = ()
    free: bool = False  # takes what is not among its choices


class Rule(NamedTuple):
    """How an option is made: from a field, by `forms`, if another field has the `guard` value."""

    option: str
    field: str | None
    forms: tuple[str, ...]
    guard: tuple[str, str] | None = None


class Network(NamedTuple):
    """What a `LoRA_type` stands for: its module, arguments always sent, and those not empty."""

    module: str
    args: tuple[tuple[str, str], ...] = ()
    set: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tab:
    """One tab of one version. `drops` says what its TOML leaves out: "zero", "false", "nothing".

    "zero" also means false; "nothing" means a command line instead of TOML. `whole` are the fields
    that lose their decimals when loaded. `extra_first`: its additional parameters come before the
    other options, and so cannot override them.
    """

    name: str
    tag: str
    fields: Mapping[str, Field]
    rules: Mapping[str, Rule]
    networks: Mapping[str, Network]
    drops: str
    whole: frozenset[str]
    extra_first: bool
    model: str = "SDXL"  # whose rules these are

    @property
    def script(self) -> str:
        """The script of sd-scripts that it starts for its model."""
        every = scripts.TRAINERS
        return next(s for s, t in TABS.items() if (t, every[s].model) == (self.name, self.model))

    @property
    def release(self) -> str:
        """The name under which the options of its sd-scripts are known."""
        return releases.of_gui(self.tag) or releases.tags()[-1]

    @property
    def is_shell(self) -> bool:
        """Whether it builds a command line for a shell instead of a TOML file."""
        return self.drops == "nothing"

    @property
    def enforces(self) -> bool:
        """Whether its server refuses a value that is not among a field's choices."""
        return releases.order(self.tag) >= ENFORCING


def tags() -> tuple[str, ...]:
    """Return the tags of all known versions, oldest first."""
    return tuple(_facts()["fingerprints"])


def find(text: str) -> str:
    """Return the tag that `text` names, with or without its "v".

    Raises:
        UserError: there is no such version.
    """
    tag = text if text.startswith("v") else f"v{text}"
    if tag in tags():
        return tag
    known = f"Use {tags()[0]} to {tags()[-1]}."
    raise UserError(
        f"there is no version {text!r} of the Kohya GUI", hint=did_you_mean(tag, tags()) or known
    )


def of_fingerprint(fingerprint: str) -> tuple[str, ...]:
    """Return the versions whose finetune tab reads like this, by `releases.fingerprint`."""
    return tuple(tag for tag, print_ in _facts()["fingerprints"].items() if print_ == fingerprint)


def for_script(script: str, tag: str) -> Tab:
    """Return the tab of one known version that starts a script of `TABS`.

    Raises:
        UserError: the version does not start it.
    """
    found = tab(TABS[script], tag, scripts.TRAINERS[script].model)
    if found.model == "FLUX" and "flux1_checkbox" not in found.fields:
        raise UserError(f"Kohya GUI {tag} cannot train FLUX", hint="Use v25.0.0 or newer.")
    return found


@functools.cache
def tab(name: str, tag: str, model: str = "SDXL") -> Tab:
    """Return one tab, "finetune" or "lora", of one known version, as for one model."""
    raw = _table(name, tag)
    rules = {**raw["options"], **raw.get(model, {})}
    return Tab(
        name,
        tag,
        {key: _field(key, told) for key, told in raw["fields"].items()},
        {key: _rule(key, told) for key, told in sorted(rules.items()) if told},
        {key: _network(told) for key, told in raw["networks"].items()},
        raw["ways"]["left out"],
        frozenset(raw["ways"]["whole"]),
        tag in _facts()["extra_first"],
        model,
    )


@functools.cache
def _table(name: str, tag: str) -> Mapping[str, Mapping[str, Any]]:
    every = list(_facts()[name])
    at = every.index(tag)
    parts = _table(name, every[at - 1]) if at else {part: {} for part in _PARTS}
    told = _facts()[name][tag]
    merged = {part: {**parts[part], **told.get(part, {})} for part in _PARTS}
    return {part: {k: v for k, v in of.items() if v is not None} for part, of in merged.items()}


def _field(name: str, told: Mapping[str, Any]) -> Field:
    choices = tuple(told.get("choices", ()))
    free = told.get("free", False) or not choices
    return Field(name, told["kind"], told.get("default"), choices, free)


def _rule(option: str, told: list[Any]) -> Rule:
    field, _, limit = told[2].partition("=") if len(told) > 2 else ("", "", "")
    return Rule(option, told[0], tuple(told[1].split(",")), (field, limit) if field else None)


def _network(told: Mapping[str, Any]) -> Network:
    args = tuple((name, source) for name, source in told.get("args", ()))
    return Network(told["module"], args, tuple(told.get("set", ())))


@functools.cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(FACTS.read_text(encoding="utf-8"))
    return facts
