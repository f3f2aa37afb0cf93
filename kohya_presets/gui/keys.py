"""What the import did with each key of a saved file, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kohya_presets import secrets
from kohya_presets.gui import launcher, meaning
from kohya_presets.gui.report import Item
from kohya_presets.gui.versions import fields, newest_commits, tables, values
from kohya_presets.gui.versions.fields import Tab
from kohya_presets.sdscripts import options, scripts

# Options that `emitted` makes by hand, and the fields they are made of.
_SPECIAL: Mapping[str, tuple[str, ...]] = {
    "max_train_epochs": ("max_train_epochs", "epoch"),
    "max_train_steps": ("max_train_steps",),
    "lr_warmup_steps": ("lr_warmup", "lr_warmup_steps"),
    "network_module": ("LoRA_type",),
    "text_encoder_lr": ("text_encoder_lr",),
    "unet_lr": ("unet_lr",),
    "network_train_unet_only": ("text_encoder_lr",),
    "network_train_text_encoder_only": ("unet_lr",),
}


def told(
    tab: Tab, saved: Mapping[str, Any], read: Mapping[str, Any], settings: meaning.Kept
) -> Iterator[Item]:
    """Yield one item for each key of `saved`; `read` has the values as the widgets see them."""
    here = {**settings.train, **settings.dataset}
    for key, value in saved.items():
        shown = key if key.isprintable() and len(key) <= 60 else repr(key)[:60]
        name = key if key in tab.fields else tables.OLDER.get(key, key)
        if key == "additional_parameters" and value:
            continue  # reported word by word
        if key == newest_commits.FIELD and tab.name == "lora":
            yield Item("mapped" if key in here else "default", shown)
        elif key == "use_8bit_adam" and value and not saved.get("optimizer"):
            yield Item("converted", shown, f"to optimizer_type = {here.get('optimizer_type')!r}")
        elif value not in ("", None) and (name in tables.SECRETS or secrets.holds(value)):
            yield Item("dropped", shown, meaning.secret(name))
        elif why := _refused(tab, name, key, value, read):
            yield Item("dropped", shown, why)
        elif value == "" or name == "additional_parameters":
            yield Item("default", shown, "empty")
        elif name in ("sdxl", "sdxl_checkbox") or (name == "flux1_checkbox" and value):
            yield Item("converted", shown, "used to choose the script")
        elif item := launcher.told(name, value, read):
            yield item
        else:
            yield _outcome(tab, shown, name, value, read, here, settings.dropped)


def _refused(tab: Tab, name: str, key: str, value: Any, read: Mapping[str, Any]) -> str | None:
    """Return why a key has no effect, or None."""
    if name not in tab.fields:
        return _unknown(tab, key)
    if value is None:
        return "null: the GUI ignores it and keeps the value on the screen"
    if key in scripts.TRAINERS[tab.script].needs:
        return meaning.PLACE
    if key in tables.MISWIRED:
        return "not for SDXL, and GUI v25 saves another field's value in it"
    if (read.get(name) is None or _is_no_number(tab, name, value)) and value != "":
        return f"expected {tab.fields[name].kind}, found {value!r:.60}"
    return None


def _is_no_number(tab: Tab, name: str, value: Any) -> bool:
    """Return whether a text should be a number but is not: a seed, in older versions."""
    known = options.of(tab.script)
    types = {
        known[rule.option].type
        for rule in tab.rules.values()
        if rule.field == name and rule.option in known
    }
    return (
        tab.fields[name].kind == "text"
        and types <= {"int", "float"}
        and bool(types)
        and (values.number(value) is None)
    )


def _outcome(
    tab: Tab,
    shown: str,
    name: str,
    value: Any,
    read: Mapping[str, Any],
    here: Mapping[str, Any],
    dropped: Mapping[str, str],
) -> Item:
    """Return what the import made of a value that it understood."""
    options = _options(tab, name, str(read.get("LoRA_type", "Standard")))
    made = [key for o in options if (key := meaning.dataset_key(o) or o) in here]
    if name == "epoch" and here.get("max_train_epochs") != values.number(value):
        return Item("dropped", shown, "max_train_epochs or max_train_steps is used instead")
    if made:
        return _made(shown, name, value, made, here)
    why = next((dropped[option] for option in options if option in dropped), None)
    if why and why != meaning.DEFAULT:
        return Item("dropped", shown, why)
    if name in tables.SAY and value:
        return Item("dropped", shown, tables.SAY[name])
    if why := meaning.place(name, value, read):
        return Item("dropped", shown, why)
    if options or value == tab.fields[name].default:
        return Item("default", shown, meaning.DEFAULT)
    return Item("dropped", shown, f"{tab.script} has no option for it")


def _made(shown: str, name: str, value: Any, made: list[str], here: Mapping[str, Any]) -> Item:
    if made == ["network_args"]:
        words = [word for word in here["network_args"] if str(value) == word.partition("=")[2]]
        return Item("converted", shown, f"to network_args {' '.join(words[:1])}".rstrip())
    now = [here[option] for option in made]
    if len(made) == 1 and type(value) is type(now[0]) and value == now[0]:
        return Item("mapped", shown) if made[0] == name else Item("renamed", shown, made[0])
    says = ", ".join(f"{option} = {new!r:.80}" for option, new in zip(made, now, strict=True))
    return Item("converted", shown, f"{value!r:.60} to {says}")


def _options(tab: Tab, field: str, network: str) -> list[str]:
    """Return the options that a field influences."""
    found = [rule.option for rule in tab.rules.values() if rule.field == field]
    found += [option for option, names in _SPECIAL.items() if field in names]
    used = tab.networks.get(network)
    if used and (field in used.set or field in {source for _, source in used.args}):
        found.append("network_args")
    return list(dict.fromkeys(found))


def _unknown(tab: Tab, key: str) -> str:
    if key == "use_8bit_adam":
        return "used only if no optimizer is set"
    if key == "use_wandb":
        return "replaced by log_with"
    other = "lora" if tab.name == "finetune" else "finetune"
    if any(key in fields.tab(tab.name, tag).fields for tag in fields.tags()):
        return f"GUI {tab.tag}, the closest version, has no such field"
    if any(key in fields.tab(other, tag).fields for tag in fields.tags()):
        return f"a field of the {other} tab"
    return "no version of the GUI knows it"
