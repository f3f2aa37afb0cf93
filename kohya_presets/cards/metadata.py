"""The same facts for the LoRA's own metadata: ModelSpec, as sd-scripts writes it.

https://github.com/Stability-AI/ModelSpec and sd-scripts v0.10.1, library/sai_model_spec.py:
`--metadata_title` becomes `modelspec.title`, and so on. Only `modelspec.…` is set here. Hashes stay
as they are, and stay true: `modelspec.hash_sha256` and `sshs_model_hash` are of the bytes after the
header, and `sshs_legacy_hash` of the tensors with the metadata that begins with `ss_`
(library/train_util.py, `precalculate_safetensors_hashes`).
"""

from __future__ import annotations

from collections.abc import Mapping

from kohya_presets.cards import page
from kohya_presets.cards.facts import SDXL_ARCHITECTURE, Facts
from kohya_presets.cards.words import RECOMMENDED, Words

PREFIX = "modelspec."
_MUST = {  # of an SDXL LoRA that has none of it
    "sai_model_spec": "1.0.1",
    "architecture": f"{SDXL_ARCHITECTURE}/lora",
    "implementation": "https://github.com/Stability-AI/generative-models",
    "resolution": "1024x1024",
}


def of(
    facts: Facts, words: Words, there: Mapping[str, str], *, thumbnail: str = ""
) -> dict[str, str]:
    """Return the keys to set in metadata that is `there`; what the author left open is not set.

    `thumbnail` is a data URL of a small picture.
    """
    found = {
        "title": words.title or facts.name,
        "author": words.author,
        "description": words.description,
        "license": words.license_name or words.license,
        "tags": ", ".join(words.tags),
        "trigger_phrase": page.trigger(words),
        "usage_hint": _usage(words),
        "thumbnail": thumbnail,
    }
    if facts.is_sdxl:
        for key, value in _MUST.items():
            if f"{PREFIX}{key}" not in there:
                found[key] = value
    return {f"{PREFIX}{key}": value for key, value in found.items() if value}


def _usage(words: Words) -> str:
    """Return a very short hint, as ModelSpec asks for: trigger and recommended settings."""
    parts = [f"Trigger: {page.trigger(words)}"] if words.trigger else []
    parts += [
        f"{name}: {words.recommended[key]}"
        for key, name in RECOMMENDED.items()
        if key in words.recommended
    ]
    return "; ".join(" ".join(part.split()) for part in parts)
