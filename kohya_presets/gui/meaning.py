"""Which options of sd-scripts belong in a preset: checked, without local paths and defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from kohya_presets import secrets
from kohya_presets.gui.versions import tables, values
from kohya_presets.presets.preset import PATHS
from kohya_presets.sdscripts import options, releases, scripts
from kohya_presets.sdscripts.additions import Additions
from kohya_presets.sdscripts.options import Option
from kohya_presets.toml import text as toml_text
from kohya_presets.training.settings import STAND_INS

DEFAULT = "same as the default"
PLACE = "belongs to one machine or run: give it for each run"
_PARTS = scripts.TRAINERS["flux_train_network.py"].needs
PLACES = (
    tables.PATHS
    | tables.EMPTIED
    | PATHS
    | {*_PARTS, "conditioning_data_dir", "tokenizer_cache_dir", "base_weights"}
    | {"base_weights_multiplier", "console_log_file", "controlnet_model_name_or_path"}
    | {"offload_optimizer_nvme_path", "offload_param_nvme_path", "metadata_thumbnail"}
)
# Places that no run is given: why not.
_NO_PLACE: Mapping[str, str] = {
    "reg_data_dir": "a preset has no regularization images: after `render`, add a subset with "
    "is_reg = true to dataset.toml",
    "in_json": "a preset takes images and captions from a folder, not from a metadata file",
}
_NO_PLACE = {**_NO_PLACE, "metadata_file": _NO_PLACE["in_json"]}
_REPLACED = ("train_data_dir", "reg_data_dir", "in_json")  # by a dataset config
# An absolute path, also of a share or of Windows, or one from the home or the current folder.
_LOCAL = re.compile(r"([A-Za-z]:[\\/]|~[\\/]|\.{1,2}[\\/]|\\\\|/)[^\s\\/,]|file:")
_KEYS = {option: key for key, option in STAND_INS.items()}
# Options that have no effect without one of these.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "sample_at_first": ("sample_prompts",),
    "sample_sampler": ("sample_every_n_epochs", "sample_every_n_steps"),
    "sample_every_n_epochs": ("sample_prompts",),
    "sample_every_n_steps": ("sample_prompts",),
    "dynamo_backend": ("torch_compile",),
    "multires_noise_discount": ("multires_noise_iterations",),
    "adaptive_noise_scale": ("noise_offset",),
    "log_tracker_name": ("log_with",),
    "huggingface_repo_type": ("huggingface_repo_id",),
    "huggingface_repo_visibility": ("huggingface_repo_id",),
    "huggingface_path_in_repo": ("huggingface_repo_id",),
}


class Kept(NamedTuple):
    """The tables of a preset, and for each dropped option the reason."""

    train: dict[str, Any]
    dataset: dict[str, Any]
    dropped: dict[str, str]
    words: list[str]  # dropped from lists: "network_args preset=/a/b.toml"


def kept(found: Mapping[str, Any], script: str, release: str, additions: Additions) -> Kept:
    """Return what of the options `found` goes into a preset for `script`.

    `release` names the options of the release that the file was made for.
    """
    known = every(script, additions)
    was = options.of(script, release)
    result = Kept({}, {}, {}, [])
    for name, given in found.items():
        value, local = without_places(name, given)
        result.words.extend(f"{name} {word}" for word in local)
        if local and not value:
            continue
        if why := _why_not(name, value, found, known, was):
            result.dropped[name] = why
        elif key := dataset_key(name):
            result.dataset[key] = values.typed(options.dataset()[key], value)
        else:
            result.train[name] = value
    return result


def every(script: str, additions: Additions) -> dict[str, Option]:
    """Return the options of a script's newest release, and those that patches add."""
    return {**options.of(script), **additions.options(script, additions.names)}


def dataset_key(option: str) -> str | None:
    """Return what the dataset's table calls an option that belongs there."""
    key = _KEYS.get(option, option)
    known = options.dataset().get(key)
    return key if known and "images" in known.subsets and key not in PATHS else None


def unfit(
    name: str, value: Any, found: Mapping[str, Any], known: Mapping[str, Option]
) -> str | None:
    """Return why a preset cannot hold this value of an option it knows.

    `found` are all options of the file.
    """
    if name in tables.SECRETS or secrets.holds(value):
        return secret(name)
    if why := place(name, value, found):
        return why
    return idle(name, value, found) or options.check(known[name], value) or _unwritable(value)


def secret(name: str) -> str:
    """Return why a secret is left out, and where it belongs."""
    if instead := secrets.OPTIONS.get(name):
        return f"a secret: run `{instead.login}` or set {instead.variable} instead"
    return "a secret: do not keep it in files"


def place(name: str, value: Any, found: Mapping[str, Any]) -> str | None:
    """Return why a value that belongs to one machine or run is left out; None for another."""
    if name in _REPLACED and found.get("dataset_config"):
        return "sd-scripts ignores it beside dataset_config"
    is_place = name in PLACES or (isinstance(value, str) and _LOCAL.match(value))
    return _NO_PLACE.get(name, PLACE) if is_place else None


def without_places(name: str, value: Any) -> tuple[Any, list[str]]:
    """Return a list of `name=value` words without those with a path of one machine, and these."""
    if not isinstance(value, list) or name in PLACES:
        return value, []
    local = [v for v in value if isinstance(v, str) and _LOCAL.match(v.rpartition("=")[2])]
    return ([v for v in value if v not in local], local) if local else (value, [])


def idle(name: str, value: Any, found: Mapping[str, Any]) -> str | None:
    """Return why an option does nothing in a preset, or stops the run, without another one."""
    needs = _NEEDS.get(name, ())
    if name == "log_with" and value in ("tensorboard", "all"):
        needs = ("logging_dir",)
    if not needs or any(_stays(other, found) for other in needs):
        return None
    if needs[0] in PLACES:
        return f"needs {needs[0]}: give both for each run"
    return f"has no effect without {' or '.join(needs)}"


def _stays(name: str, found: Mapping[str, Any]) -> bool:
    value = found.get(name)
    return bool(value) and name not in PLACES and not idle(name, value, found)


def patches(script: str, train: Mapping[str, Any], additions: Additions) -> tuple[str, ...]:
    """Return the patches that the options need."""
    found = [additions.patch_with(script, name) for name in train]
    found.append(additions.patch_with_optimizer(str(train.get("optimizer_type", ""))))
    return tuple(dict.fromkeys(name for name in found if name))


def since(
    script: str, train: Mapping[str, Any], dataset: Mapping[str, Any], additions: Additions
) -> str:
    """Return the first release from which on all settings are known, as in `releases`."""
    oldest = releases.tags()[-1]
    added = additions.options(script, patches(script, train, additions))
    for tag in reversed(releases.tags()):
        known = {**options.of(script, tag), **added}
        if not (_fit(train, known) and _fit(dataset, options.dataset(tag))):
            break
        oldest = tag
    return f">={oldest.removeprefix('v')}"


def _fit(table: Mapping[str, Any], known: Mapping[str, Option]) -> bool:
    return all(name in known and not options.check(known[name], v) for name, v in table.items())


def _why_not(
    name: str,
    value: Any,
    found: Mapping[str, Any],
    known: Mapping[str, Option],
    was: Mapping[str, Option],
) -> str | None:
    if (
        name not in tables.SECRETS | PLACES
        and _says_nothing(name, value, found, known)
        and _says_nothing(name, value, found, was)
    ):
        return DEFAULT
    return unfit(name, value, found, known)


def _says_nothing(
    name: str, value: Any, found: Mapping[str, Any], known: Mapping[str, Option]
) -> bool:
    if name in ("max_train_steps", "learning_rate"):
        return False  # a preset should show these, default or not
    rest = {key: other for key, other in found.items() if key != name}
    return name not in known or values.same(name, value, values.effective(rest, known, name))


def _unwritable(value: Any) -> str | None:
    try:
        toml_text.value_text(value)
    except ValueError as error:
        return str(error)
    return None
