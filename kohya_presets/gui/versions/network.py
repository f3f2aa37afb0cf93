"""The LoRA tab's network: a `LoRA_type` and its fields, or sd-scripts' module and arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kohya_presets.gui.versions.fields import Network, Tab

# "LoCon" is an older name of "LyCORIS/LoCon"; where modules are equal the plainer type comes first.
_PREFERRED = ("Standard", "Kohya LoCon")


def sent(tab: Tab, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the module and the arguments that the tab sends."""
    network = tab.networks.get(str(values.get("LoRA_type", "Standard")))
    if network is None:
        return {}
    args = [_pair(name, source, values) for name, source in network.args]
    args += [f"{name}={values[name]}" for name in network.set if values.get(name)]
    plus = ("loraplus_lr_ratio", "loraplus_unet_lr_ratio", "loraplus_text_encoder_lr_ratio")
    args += [f"{name}={values[name]}" for name in plus if values.get(name)]
    found: dict[str, Any] = {"network_module": network.module}
    if args := list(dict.fromkeys(arg for arg in args if arg)):
        found["network_args"] = args
    return found


def fields(
    tab: Tab, module: str, args: list[str], others: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the type and the fields that send exactly this; None if no type does.

    `others` are the values of the other fields.
    """
    given = dict(arg.partition("=")[::2] for arg in args)
    for name in sorted(tab.networks, key=lambda name: (name not in _PREFERRED, name == "LoCon")):
        network = tab.networks[name]
        if network.module != module:
            continue
        found = {"LoRA_type": name, **_emptied(tab, network), **_filled(tab, network, given)}
        if sorted(sent(tab, {**others, **found}).get("network_args", [])) == sorted(args):
            return found
    return None


def _emptied(tab: Tab, network: Network) -> dict[str, Any]:
    """Return empty values for the fields that are sent unless empty: some have a default."""
    empty: dict[str, Any] = {"bool": False, "number": 0}
    there = [tab.fields[name] for name in network.set if name in tab.fields]
    found = {field.name: empty.get(field.kind, "") for field in there}
    return {n: v for n, v in found.items() if tab.fields[n].free or v in tab.fields[n].choices}


def _filled(tab: Tab, network: Network, given: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, source in (*network.args, *((name, name) for name in network.set)):
        if not source.startswith("=") and name in given and source in tab.fields:
            found[source] = _value(given[name])
    for name in tab.fields:
        if name.startswith("loraplus_") and name in given:
            found[name] = _value(given[name])
    return found


def _pair(name: str, source: str, values: Mapping[str, Any]) -> str:
    if source.startswith("="):
        return f"{name}{source}"
    return f"{name}={values[source]}" if values.get(source) is not None else ""


def _value(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        if str(found) == text:  # else it would be sent with another spelling
            return found
    return text
