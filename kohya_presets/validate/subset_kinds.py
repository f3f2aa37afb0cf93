"""Which kind a dataset is, decided by all of its subsets together, as sd-scripts decides it.

library/config_util.py, ConfigSanitizer: with `masked_loss` (or in a ControlNet script) a dataset of
which every subset has `conditioning_data_dir` has masks; one of which every subset has
`metadata_file` has its captions there; one of which none has is of folders. Any mixture stops it.
"""

from __future__ import annotations

from collections.abc import Iterator

from kohya_presets.files import configs
from kohya_presets.files.configs import ConfigFile, Part
from kohya_presets.problems import Problem, Severity
from kohya_presets.sdscripts.scripts import CONTROL_NET, KNOWN
from kohya_presets.training.settings import Settings

Fault = tuple[Part, str, str, str]  # the subset, the code, what is wrong, what to do
MASKS, METADATA = "conditioning_data_dir", "metadata_file"
_NEEDED = {
    MASKS: f"Set {MASKS} to the folder of the control images.",
    METADATA: "Set it, or use train_db.py for folders of images.",
}
_MIXED = {
    MASKS: "Give it masks too, or move it to [[datasets]] of its own.",
    METADATA: "Move it to [[datasets]] of its own.",
}


def check(dataset: ConfigFile, s: Settings) -> Iterator[Problem]:
    """Yield why sd-scripts would refuse the subsets of a dataset config, for the script of `s`.

    Without a training config in `s`, only what stops every script.
    """
    for subsets in _datasets(dataset):
        for part, code, message, hint in _faults(subsets, s):
            where = dataset.place(*part.at)
            yield Problem(code, "error", where, message, hint)


def without_masks(dataset: ConfigFile | None, s: Settings) -> Iterator[Problem]:
    """Yield what `masked_loss` does without masks: nothing, but before `alpha_mask` came it stops.

    library/custom_train_functions.py, apply_masked_loss, which sdxl_train.py calls.
    """
    if not s.is_whole or not s.train("masked_loss"):
        return
    parts = [*configs.parts(dataset)] if dataset else []
    masks = any(part.values.get("alpha_mask") or MASKS in part.values for part in parts)
    if not masks and not s.train("alpha_mask") and not s.train(MASKS):
        knows_alpha = "alpha_mask" in s.known("dataset")
        effect = "has no effect" if knows_alpha else "stops at the first image"
        message = f"masked_loss {effect} without masks: no subset has {MASKS}"
        message += " or alpha_mask" if knows_alpha else ""
        severity: Severity = "warning" if knows_alpha else "error"
        where = s.place("train", "masked_loss")
        yield Problem("no-masks", severity, where, message, "Leave masked_loss out.")


def _datasets(dataset: ConfigFile) -> Iterator[list[Part]]:
    subsets: list[Part] = []
    for part in configs.parts(dataset):
        if part.level == "dataset":
            if subsets:
                yield subsets
            subsets = []
        elif part.level == "subset":
            subsets.append(part)
    if subsets:
        yield subsets


def _faults(subsets: list[Part], s: Settings) -> Iterator[Fault]:
    if key := _needed(s.script):
        for part in _without(key, subsets):
            yield part, "subset-kind", f"{s.script} needs {key} in each subset", _NEEDED[key]
    elif found := _mixed(MASKS, subsets) or _masks_off(subsets, s) or _mixed(METADATA, subsets):
        yield found


def _mixed(key: str, subsets: list[Part]) -> Fault | None:
    odd = _without(key, subsets)
    if not odd or len(odd) == len(subsets):
        return None
    message = f"some subsets of this dataset have {key}, this one has not"
    return odd[0], "mixed-subsets", message, _MIXED[key]


def _masks_off(subsets: list[Part], s: Settings) -> Fault | None:
    if MASKS not in subsets[0].values or not s.has("train") or s.train("masked_loss"):
        return None
    message = f"{MASKS} (masks) needs masked_loss"
    return subsets[0], "masks-off", message, "Set masked_loss = true in the training config."


def _needed(script: str) -> str | None:
    """Return the key that a script which reads one kind only wants in each subset."""
    if script in KNOWN and KNOWN[script].makes == CONTROL_NET:
        return MASKS
    return METADATA if script == "fine_tune.py" else None


def _without(key: str, subsets: list[Part]) -> list[Part]:
    return [part for part in subsets if key not in part.values]
