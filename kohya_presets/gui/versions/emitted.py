"""What a version of the GUI sends to sd-scripts for the values of its fields.

`export` asks whether it is the preset, `read` which options a saved file means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kohya_presets.gui.versions import network, values
from kohya_presets.gui.versions.fields import Rule, Tab
from kohya_presets.sdscripts.options import Option

USUAL_STEPS = 1600  # what sd-scripts trains if no length is set

Values = Mapping[str, Any]  # field to value, each as its widget has it


def options(tab: Tab, fields: Values, known: Mapping[str, Option]) -> dict[str, Any]:
    """Return the options that are sent, each of the type that `known` says."""
    raw = {name: _applied(tab, rule, fields) for name, rule in tab.rules.items()}
    raw |= _steps(fields, raw)
    if tab.name == "lora":
        raw |= {**network.sent(tab, fields), **_rates(fields)}
    warmup = _warmup(tab, fields, raw)  # also as a share, which an older release does not take
    return {**_typed(raw, known), **({"lr_warmup_steps": warmup} if warmup else {})}


def _typed(raw: Values, known: Mapping[str, Option]) -> dict[str, Any]:
    """Return the options that the script knows; empty lists are none."""
    found = {n: values.typed(known[n], v) for n, v in raw.items() if n in known and v is not None}
    return {name: value for name, value in found.items() if value is not None and value != []}


def _applied(tab: Tab, rule: Rule, fields: Values) -> Any:
    if rule.guard and not _fits(fields.get(rule.guard[0]), rule.guard[1]):
        return None
    value: Any = True if rule.field is None else fields.get(rule.field)
    for form in rule.forms:
        value = _formed(form, value, fields)
        if value is None:
            return None
    if value == "" or value is False or (tab.drops == "zero" and value == 0):
        return value if "always" in rule.forms else None
    return value


def _fits(value: Any, wanted: str) -> bool:
    return bool(value) if wanted == "True" else str(value) == wanted


def _formed(form: str, value: Any, fields: Values) -> Any:
    """Return a value after one step; None: nothing is sent."""
    name, _, limit = form.partition(":")
    if name == "else":
        return fields.get(limit) if value in ("", None) else value
    if value is None:
        return None
    match name:
        case "int":
            found = values.number(value)
            return value if found is None else int(found)
        case "flag" | "set":
            return value or None
        case "is":
            return True if str(value) == limit else None
        case "then":
            return limit if value else None
        case "not":
            return None if limit in (str(value), values.plain(value)) else value
        case "above" | "from" | "below":
            found = values.number(value)
            return None if found is None or not _within(name, found, float(limit)) else value
    return value


def _within(name: str, value: float, limit: float) -> bool:
    return {"above": value > limit, "from": value >= limit, "below": value < limit}[name]


def _warmup(tab: Tab, fields: Values, raw: Values) -> int | float | None:
    """Return the warm-up: steps, or a fraction of all steps."""
    if raw.get("lr_scheduler") == "constant":
        return None
    share = values.number(fields.get("lr_warmup")) or 0
    if "lr_warmup_steps" not in tab.fields:
        return _counted(share, fields)
    steps = values.number(fields.get("lr_warmup_steps")) or 0
    if tab.name == "lora" and fields.get("dataset_config"):
        steps = _counted(share, fields) or 0  # v25 and v26 do not look at the steps then
    return int(steps) if steps > 0 else share / 100 or None


def _counted(share: float, fields: Values) -> int | float | None:
    """Return the steps that a version sends which knows only a share, in whole percent.

    Where it counts the steps from the images of `epoch` epochs, it is that share of them; beside a
    dataset config it counts none.
    """
    length = values.number(fields.get("max_train_steps")) or 0
    if length > 0:
        return round(int(share) * int(length) / 100) or None
    if fields.get("dataset_config"):
        return None
    epochs = values.number(fields.get("epoch")) or 1
    trained = values.number(fields.get("max_train_epochs")) or epochs
    return int(share) * epochs / (100 * trained) or None


def _steps(fields: Values, raw: Values) -> dict[str, Any]:
    """Return the length: without epochs or steps, the GUI computes steps from `epoch`."""
    if raw.get("max_train_epochs"):
        return {"max_train_steps": None}
    steps = values.number(fields.get("max_train_steps")) or 0
    epochs = values.number(fields.get("epoch")) or 0
    if steps <= 0 < epochs and not fields.get("dataset_config"):
        return {"max_train_steps": None, "max_train_epochs": epochs}
    return {"max_train_steps": int(steps) if steps > 0 else USUAL_STEPS, "max_train_epochs": None}


def _rates(fields: Values) -> dict[str, Any]:
    """Return the two rates of a LoRA, and the options that a rate of 0 means."""
    encoder = float(values.number(fields.get("text_encoder_lr")) or 0)
    unet = float(values.number(fields.get("unet_lr")) or 0)
    return {
        "text_encoder_lr": encoder or None,
        "unet_lr": unet or None,
        "network_train_unet_only": True if unet and not encoder else None,
        "network_train_text_encoder_only": True if encoder and not unet else None,
    }
