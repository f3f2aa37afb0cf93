"""A file saved by the Kohya GUI: read safely, and known by its keys."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from kohya_presets.errors import UserError
from kohya_presets.gui.versions import fields, tables
from kohya_presets.sdscripts import options, releases, scripts

LARGEST = 4 * 1024 * 1024  # bytes; the GUI's own files have some 10 000
HINT = "Use a JSON file that the GUI's finetune or LoRA tab saved."
# Keys that only this tab saves; every file of it, of any version, has some of them.
_SIGNS: Mapping[str, frozenset[str]] = {
    "lora": frozenset({"LoRA_type", "network_dim", "network_alpha", "unet_lr", "text_encoder_lr"}),
    "finetune": frozenset(
        {"dataset_repeats", "image_folder", "caption_metadata_filename", "use_latent_files"}
        | {"train_dir", "full_path", "train_text_encoder", "sdxl_checkbox"}
    ),
}
# Tabs of the GUI that are not supported, and keys that only each of them saves.
_OTHER_TABS: Mapping[str, frozenset[str]] = {
    "Textual Inversion": frozenset({"token_string", "init_word", "num_vectors_per_token"}),
    "LECO": frozenset({"prompts_file", "max_denoising_steps", "leco_denoise_guidance_scale"}),
    "Anima LLLite": frozenset({"cond_emb_dim", "lllite_mlp_dim", "lllite_target_layers"}),
}
_OF_A_GUI = 3  # so many of the GUI's own names are no accident
_TWIN = "v22.1.5"  # a mistake of upstream: this tag has the files of v23.1.5


def parse(data: bytes) -> dict[str, Any]:
    """Return the object in a file's bytes.

    Raises:
        UserError: too many bytes, an unknown encoding, not JSON, or not an object.
    """
    if len(data) > LARGEST:
        message = f"the file is too large for a GUI file: {len(data) / 1e6:.1f} MB"
        raise UserError(message, hint=HINT)
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"expected UTF-8, found {error.reason} at byte {error.start}") from error
    try:
        found = json.loads(text, parse_constant=_constant)
    except json.JSONDecodeError as error:
        message = f"expected JSON, found at line {error.lineno}: {error.msg}"
        raise UserError(message, hint=HINT) from error
    except RecursionError as error:
        raise UserError("the JSON is nested too deeply for a GUI file") from error
    except ValueError as error:  # an integer of thousands of digits
        raise UserError(f"expected JSON, found: {str(error).split(';')[0]}", hint=HINT) from error
    if not isinstance(found, dict):
        kind = {"list": "an array", "str": "a string"}.get(type(found).__name__, repr(found)[:40])
        raise UserError(f"expected a JSON object, found {kind}", hint=HINT)
    return found


def is_in_own_words(keys: Collection[str]) -> bool:
    """Return whether more keys are options that the GUI calls otherwise than fields of the GUI."""
    fields_, options_ = names()
    return len(options_.intersection(keys)) > len(fields_.intersection(keys))


@functools.cache
def names() -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that only fields of the GUI have, and those that only options have."""
    tabs = [fields.tab(name, tag) for name in _SIGNS for tag in fields.tags()]
    saved = {*tables.OLDER, *(name for tab in tabs for name in tab.fields)}
    known = {name for script in scripts.TRAINERS for name in options.of(script)}
    return frozenset(saved - known), frozenset(known - saved)


def tab(keys: Collection[str]) -> str:
    """Return which tab saved a file with these keys.

    Raises:
        UserError: neither tab did.
    """
    given = frozenset(keys)
    if other := next((name for name, signs in _OTHER_TABS.items() if signs & given), None):
        raise _of_tab(other)
    signs = {name: len(given & signs) for name, signs in _SIGNS.items()}
    best = max(signs, key=lambda name: signs[name])
    if not signs[best]:
        if len(given & names()[0]) >= _OF_A_GUI and "train_data_dir" in given:
            raise _of_tab("Dreambooth")
        some = ", ".join(repr(key)[:40] for key in sorted(keys)[:5]) or "none"
        raise UserError(f"expected a file of the Kohya GUI, found these keys: {some}", hint=HINT)
    return best


def _of_tab(name: str) -> UserError:
    message = f"this file is of the Kohya GUI's {name} tab, which kohya-presets does not support"
    hint = "Train it in the GUI. kohya-presets reads files of the finetune and LoRA tabs."
    return UserError(message, hint=hint)


def version(name: str, keys: Collection[str]) -> str:
    """Return the version whose tab is most similar to these keys; if equal, the newest."""
    given = set(keys)

    def fit(tag: str) -> tuple[int, int, tuple[int, ...]]:
        known = fields.tab(name, tag).fields.keys()
        shared = len(given & known)
        return 2 * shared - len(given), shared - len(known), releases.order(tag)

    return max((tag for tag in fields.tags() if tag != _TWIN), key=fit)


def _constant(word: str) -> NoReturn:
    raise ValueError(f"the number {word}")
