"""Options in sd-scripts' own words as a preset: a config, or a JSON that no GUI saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kohya_presets import secrets
from kohya_presets.errors import UserError
from kohya_presets.gui import launcher, meaning
from kohya_presets.gui.imported import Imported, slug
from kohya_presets.gui.report import Item
from kohya_presets.gui.versions import tables, values
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import options, scripts
from kohya_presets.sdscripts.additions import Additions
from kohya_presets.validate import unknown

_NONE = "not an option of this script"
_GUI_ONLY = ("config_file", "output_config", "noise_offset_type")


def preset(
    found: Mapping[str, Any],
    name: str,
    script: str,
    additions: Additions,
    *,
    read_as: str,
    subset: Mapping[str, Any] | None = None,
    report: Iterable[Item] = (),
) -> Imported:
    """Return the preset called `name`; `subset` are settings of a dataset file.

    Raises:
        UserError: there are no settings for a preset.
    """
    train: dict[str, Any] = {}
    dataset: dict[str, Any] = {}
    items = [*report]
    if script in scripts.TRAINERS:
        train, dataset, own = _settings(found, script, additions)
        items += own
        dataset |= subset or {}
        if not train and not dataset:
            raise UserError(f"no options of sd-scripts in {read_as}")
    made = Preset(
        name=slug(name),
        title=name,
        summary=f"Imported from {read_as}",
        script=script,
        releases=meaning.since(script, train, dataset, additions) if train or dataset else "",
        patches=meaning.patches(script, train, additions),
        train=train,
        dataset=dataset,
        run=launcher.run(found),
    )
    return Imported(made, read_as, tuple(items))


def _settings(
    found: Mapping[str, Any], script: str, additions: Additions
) -> tuple[dict[str, Any], dict[str, Any], list[Item]]:
    """Return what goes into [train] and [dataset], all as the file says it, and the report."""
    known, report = meaning.every(script, additions), []
    train: dict[str, Any] = {}
    dataset: dict[str, Any] = {}
    for name, given in found.items():
        shown = (name if name.isprintable() else repr(name))[:60]
        if given not in ("", None) and (name in tables.SECRETS or secrets.holds(given)):
            report.append(Item("dropped", shown, meaning.secret(name)))
            continue
        if item := launcher.told(name, given, found):
            report.append(item)
            continue
        if name in _GUI_ONLY or name not in known:
            is_off = given in (None, "", False, [])
            meant = None if is_off or name in _GUI_ONLY else unknown.meant(name, known, found)
            report.append(
                Item("dropped", shown, ". ".join((_NONE, meant.todo) if meant else (_NONE,)))
            )
            continue
        key = meaning.dataset_key(name)
        option = options.dataset()[key] if key else known[name]
        value, local = meaning.without_places(name, _converted(option, given))
        report += [Item("dropped", f"{shown} {word}", meaning.PLACE) for word in local]
        if local and not value:
            continue
        if why := _why_not(name, value, found, option):
            report.append(Item("dropped", shown, why))
            continue
        (dataset if key else train)[key or name] = value
        report.append(_item(shown, name, key, given, value))
    return train, dataset, report


def _converted(option: options.Option, value: Any) -> Any:
    """Return a value as the option takes it; a number in quotes is meant as one."""
    if not options.check(option, value) or isinstance(value, bool) or option.type == "bool":
        return value
    if isinstance(value, list | dict) and option.type == "str":  # no text of it is meant
        return value
    found = values.typed(option, value)
    return value if found is None or options.check(option, found) else found


def _why_not(name: str, value: Any, found: Mapping[str, Any], option: options.Option) -> str | None:
    if name in ("max_train_epochs", "max_train_steps") and value == 0:
        return "0 would train nothing"
    return meaning.unfit(name, value, found, {name: option})


def _item(shown: str, name: str, key: str | None, given: Any, value: Any) -> Item:
    target = f"dataset.{key}" if key and key != name else ""
    if type(given) is type(value) and given == value:
        return Item("renamed", shown, target) if target else Item("mapped", shown)
    return Item("converted", shown, f"{given!r:.60} to {target or name} = {value!r:.80}")
