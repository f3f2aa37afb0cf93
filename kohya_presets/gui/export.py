"""A preset as a file for one version of the Kohya GUI, and what that version cannot express."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.gui import launcher, meaning, notes
from kohya_presets.gui.report import Item
from kohya_presets.gui.versions import emitted, fields, network, tables, values, words
from kohya_presets.gui.versions.fields import Field, Tab
from kohya_presets.presets.preset import Preset
from kohya_presets.sdscripts import options
from kohya_presets.sdscripts.additions import Additions
from kohya_presets.sdscripts.options import Option
from kohya_presets.training.settings import STAND_INS

Fields = dict[str, Any]
# Forms of the GUI's rules in which a field's value is sent, if it is.
_AS_IT_IS = ("as", "int", "float", "set", "flag", "words", "above", "from", "below", "not")


@dataclass(frozen=True)
class Exported:
    """The file's values, and a report of the settings that were not simply copied."""

    tab: Tab
    values: Mapping[str, Any]
    report: tuple[Item, ...]

    @property
    def text(self) -> str:
        """The file, in ASCII: the oldest versions read it in the system's own encoding."""
        return json.dumps(self.values, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def export(
    preset: Preset, tag: str, additions: Additions, *, dataset_config: Path | None = None
) -> Exported:
    """Return `preset` for the GUI version `tag`; `dataset_config` is the file with its dataset.

    Raises:
        UserError: the GUI does not run the preset's script, or cannot hold one of its values.
    """
    if odd := notes.not_in_json(preset):
        raise UserError(
            f"cannot export {odd}: a GUI file has no infinite numbers",
            hint=f"Set another value: --set {odd.partition(' ')[0]}=VALUE",
        )
    if preset.script not in fields.TABS:
        started = " or ".join(fields.TABS)
        raise UserError(
            f"cannot export a preset for {preset.script}",
            hint=f"The GUI can run presets for {started}.",
        )
    tab = fields.for_script(preset.script, tag)
    known = dict(options.of(tab.script, tab.release))
    known |= additions.options(tab.script, preset.patches)
    has_file = dataset_config is not None
    wanted, report = _wanted(preset, known, has_file=has_file)
    wanted = _in_steps(wanted, known)
    made = _filled(tab, known, wanted)
    extra = _with_file(tab, made, dataset_config)
    more, found = _extra(tab, made, known, wanted)
    made["additional_parameters"] = " ".join([*extra, *more])
    report += [*found, *_sent_anyway(tab, made, known, wanted, has_file=has_file)]
    report += launcher.fill(tab, made, preset)
    made[notes.KEY] = notes.of(preset, tag, data=has_file)
    return Exported(tab, made, tuple(report))


def _wanted(
    preset: Preset, known: Mapping[str, Option], *, has_file: bool
) -> tuple[dict[str, Any], list[Item]]:
    """Return the options to export; dataset settings have their options' names."""
    wanted, report = dict(preset.train), []
    for key, value in preset.dataset.items():
        name = STAND_INS.get(key, key)
        if name in known and not (name == "dataset_repeats" and preset.script != "sdxl_train.py"):
            wanted[name] = value
        elif not has_file:
            why = "the GUI takes it from folder names (2_name)" if key == "num_repeats" else ""
            hint = "use --data to write a dataset config"
            report.append(Item("lost", f"dataset.{key}", "; ".join(filter(None, (why, hint)))))
    return wanted, report


def _in_steps(wanted: dict[str, Any], known: Mapping[str, Option]) -> dict[str, Any]:
    """Return the options, with a warm-up in whole steps where the release takes no share."""
    share, length = wanted.get("lr_warmup_steps"), wanted.get("max_train_steps")
    takes_it = share is None or not options.check(known["lr_warmup_steps"], share)
    if takes_it or length is None or "max_train_epochs" in wanted:
        return wanted
    return {**wanted, "lr_warmup_steps": round(share * length)}


def _filled(tab: Tab, known: Mapping[str, Option], wanted: Mapping[str, Any]) -> Fields:
    """Return a value for every field of the version that is for SDXL or for the GUI itself."""
    made = {name: _neutral(tab, field, known) for name, field in tab.fields.items()}
    made = {name: value for name, value in made.items() if value is not None}
    for rate in tables.RATES:
        if rate in made:
            made[rate] = wanted.get("learning_rate", made["learning_rate"])
    for name, value in wanted.items():
        rule = tab.rules.get(name)
        if rule and rule.field in made and rule.forms[0] in _AS_IT_IS:
            _set(tab, made, rule.field, value)
    made |= {k: v for k, v in _special(tab, wanted, made).items() if k in tab.fields}
    return made


def _neutral(tab: Tab, field: Field, known: Mapping[str, Option]) -> Any:
    """Return the value that has no effect; None leaves the value on the screen."""
    fixed = {**tables.FIXED, **tables.MODEL[tab.model]}
    if fixed.get(field.name) is not None:
        return values.to_field(field, fixed[field.name])
    if field.name in tables.EMPTIED:
        return ""
    if field.name in tables.PATHS or field.name in tables.SECRETS | tables.MISWIRED:
        return None
    rules = [rule for rule in tab.rules.values() if rule.field == field.name]
    if not rules:
        return _own(tab, field)
    guards = {r.guard[0]: r.guard[1] for r in rules if r.guard}
    for candidate in _candidates(field, [known[r.option] for r in rules if r.option in known]):
        sent = emitted.options(tab, {**guards, field.name: candidate}, known)
        options_sent = [rule.option for rule in rules if rule.option in sent]
        if all(values.same(name, sent[name], _default(known, name)) for name in options_sent):
            return candidate
    if field.name == "optimizer":
        return "AdamW"  # the preset's own comes later, in the field or as a word
    off = values.normal(field, _off(field))
    return tables.LEAST.get(field.name, off if field.free else field.default)


def _own(tab: Tab, field: Field) -> Any:
    """Return the default of a field that only the GUI or a network's arguments use."""
    if tab.name == "finetune" and field.name not in ("num_cpu_threads_per_process", "epoch"):
        return None if field.name != "main_process_port" else 0
    if field.name.startswith(("anima_", "lumina_", "hunyuan_", "flux1_", "sd3_")):
        return None
    return values.normal(field, _off(field) if field.default is None else field.default)


def _candidates(field: Field, known: list[Option]) -> list[Any]:
    own = [] if field.default is None else [values.normal(field, field.default)]
    usual = [values.to_field(field, o.default) for o in known if o.default is not None]
    off = [values.to_field(field, _off(field))]
    listed = [*own, *usual, *off, *(c for c in field.choices if c in ("", "none", "no"))]
    return [v for v in listed if v is not None and (field.free or v in field.choices)]


def _off(field: Field) -> Any:
    return {"bool": False, "number": 0}.get(field.kind, "")


def _default(known: Mapping[str, Option], name: str) -> Any:
    return values.default(known[name]) if name in known else None


def _set(tab: Tab, made: Fields, name: str, value: Any) -> None:
    """Give a field its value, unless its widget cannot hold it."""
    field = tab.fields[name]
    if tab.is_shell and not words.survives_shell(value):
        return
    new = values.to_field(field, value)
    if name in tab.whole and isinstance(new, float) and not new.is_integer():
        return
    if field.choices and new not in field.choices and not tab.extra_first:
        return
    made[name] = new


def _special(tab: Tab, wanted: Mapping[str, Any], others: Fields) -> Fields:
    """Return the fields that one option alone does not decide."""
    made: Fields = {"epoch": wanted.get("max_train_epochs", 1)}
    steps = 0 if "max_train_epochs" in wanted else wanted.get("max_train_steps", 1600)
    made["max_train_steps"] = (
        values.to_field(tab.fields["max_train_steps"], steps or "")
        if tab.is_shell and "max_train_steps" in tab.fields
        else steps
    )
    for name in ("xformers", "sdpa"):
        if wanted.get(name):
            made["xformers"] = name
    if wanted.get("multires_noise_iterations") and not wanted.get("noise_offset"):
        made["noise_offset_type"] = "Multires"
    if wanted.get("log_with") == "wandb":
        made["use_wandb"] = True
    made |= _warmup(tab, wanted)
    if tab.name == "lora":
        made |= _lora(tab, wanted, others)
    return made


def _warmup(tab: Tab, wanted: Mapping[str, Any]) -> Fields:
    warmup = wanted.get("lr_warmup_steps") or 0
    if not isinstance(warmup, float) or warmup >= 1:
        return {"lr_warmup_steps": int(warmup)}
    share = round(warmup * 100, 9)
    if not share.is_integer():
        return {} if "lr_warmup" in tab.whole else {"lr_warmup": share}
    return {"lr_warmup": int(share)}


def _lora(tab: Tab, wanted: Mapping[str, Any], others: Fields) -> Fields:
    rate = wanted.get("learning_rate", 0)
    encoder = wanted.get("text_encoder_lr", rate)
    if isinstance(encoder, list):
        encoder = encoder[0] if encoder else rate
    made: Fields = {"text_encoder_lr": encoder, "unet_lr": wanted.get("unet_lr", rate)}
    if wanted.get("network_train_unet_only"):
        made["text_encoder_lr"] = 0
    if wanted.get("network_train_text_encoder_only"):
        made["unet_lr"] = 0
    module, args = wanted.get("network_module"), list(wanted.get("network_args", ()))
    found = network.fields(tab, str(module), args, others)
    return {**made, **(found or {"LoRA_type": "Standard"})}


def _with_file(tab: Tab, made: Fields, file: Path | None) -> list[str]:
    """Return the words that name the dataset config where the version has no field for it."""
    if file is None:
        return []
    spelled = [words.of_path("dataset_config", file)] if tab.is_shell else []
    if "dataset_config" in tab.fields:
        made["dataset_config"] = str(file)
        return []
    made |= {k: False for k in ("create_caption", "create_buckets") if k in made}
    return spelled


def _extra(
    tab: Tab, made: Fields, known: Mapping[str, Option], wanted: Mapping[str, Any]
) -> tuple[list[str], list[Item]]:
    """Return the words for what the fields cannot hold, and a report of it."""
    sent = emitted.options(tab, made, known)
    extra: list[str] = []
    report: list[Item] = []
    for name, value in wanted.items():
        now = values.effective(sent, known, name)
        if name == "max_train_steps" and "max_train_epochs" in wanted:
            continue
        if name in known and values.same(name, now, value):
            continue
        spelled = None
        if name in known and not options.check(known[name], value):
            spelled = words.of(name, value)
        if spelled and not (tab.extra_first and name in sent):
            extra += spelled
            report.append(
                Item("added", f"train.{name}", f"as {' '.join(spelled)} in Additional parameters")
            )
        else:
            report.append(Item("lost", _table(name), _why(name, value, tab, known, now)))
    return extra, report


def _why(name: str, value: Any, tab: Tab, known: Mapping[str, Option], now: Any) -> str:
    if name not in known:
        return f"the sd-scripts of GUI {tab.tag} does not have it"
    if fault := options.check(known[name], value):
        if name == "lr_warmup_steps":
            rule = f"GUI {tab.tag} takes whole percent, and none beside a dataset config"
            return f"{rule}: give it in steps, --set train.lr_warmup_steps=NUMBER"
        return f"the sd-scripts of GUI {tab.tag} refuses it: {fault}"
    if now:
        return f"GUI {tab.tag} sends {now!r}, and Additional parameters cannot change that"
    return f"GUI {tab.tag} has no field for it, and Additional parameters cannot hold this value"


def _sent_anyway(
    tab: Tab,
    made: Fields,
    known: Mapping[str, Option],
    wanted: Mapping[str, Any],
    *,
    has_file: bool,
) -> list[Item]:
    """Return what the version sends, with an effect, although the preset does not set it."""
    sent = emitted.options(tab, made, known)
    found = []
    for name, value in sent.items():
        of_dataset = has_file and options.in_dataset(name)
        if name in wanted or of_dataset or name in tables.HARMLESS | meaning.PLACES:
            continue
        if not values.same(
            name, value, values.effective({k: v for k, v in sent.items() if k != name}, known, name)
        ):
            found.append(Item("note", _table(name), f"GUI {tab.tag} always sends {value!r}"))
    return found


def _table(name: str) -> str:
    return f"{'dataset' if options.in_dataset(name) else 'train'}.{name}"
