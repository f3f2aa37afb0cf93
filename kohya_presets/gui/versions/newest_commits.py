"""What the GUI's commits after its newest version save and send that v26.0.0 does not.

Read up to 45088f0 (July 2026). Such a file is known by the key `model_type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kohya_presets.gui.versions import values
from kohya_presets.gui.versions.fields import Tab

FIELD = "model_type"  # of FLUX: "flux" or "chroma"


def options(tab: Tab, saved: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that they send otherwise than v26.0.0, which sends `sent`."""
    if FIELD not in saved or tab.model != "FLUX":
        return {}
    found: dict[str, Any] = {}
    if str(saved[FIELD]).lower() == "chroma":
        guidance = float(values.number(saved.get("guidance_scale")) or 0)
        found = {FIELD: "chroma", "apply_t5_attn_mask": True, "guidance_scale": guidance}
    if sent.get("network_module") == "networks.lora_flux":
        rates = {name: saved.get(name) for name in ("rank_dropout", "module_dropout")}
        args = [f"{n}={rate}" for n, rate in rates.items() if (values.number(rate) or 0) > 0]
        found |= {"network_args": [*sent.get("network_args", ()), *args]} if args else {}
    return found
