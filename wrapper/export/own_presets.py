"""Create a preset in the user's own preset folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kohya_presets.errors import UserError
from kohya_presets.presets.catalogue import Catalogue
from kohya_presets.presets.preset import SCHEMA, SETTINGS, UNSET
from kohya_presets.sdscripts.additions import Additions
from kohya_presets.toml import text as toml_text
from kohya_presets.validate import each_setting
from wrapper.system import names, paths, whole


def new(
    name: str, parent: str, overrides: Sequence[str], presets: Catalogue, additions: Additions
) -> Path:
    """Return the file of a new preset that extends `parent` and differs in `overrides`.

    Raises:
        PresetError: an override is wrong.
        UserError: there is no such parent, or a preset of that name already exists.
    """
    name = names.usable(name.removesuffix(".toml"))
    file = paths.user_presets() / f"{name}.toml"
    if file.exists():
        raise UserError(f"{file} already exists", hint="Edit it, or choose another name.")
    # As the new file will find it: there, its own name means the next preset of that name.
    path = Path(parent).expanduser()
    if path.suffix == ".toml" and path.is_file():
        parent = str(path.resolve())
    found = str(presets.find(parent, file))
    changed = presets.load(found, overrides=overrides)
    each_setting.require(changed, additions)
    kept = presets.load(found)
    head: dict[str, Any] = {
        "name": name,
        "title": name,
        "summary": f"{kept.title}, changed",
        "extends": parent,
    }
    tables: dict[str, dict[str, Any]] = {"preset": head}
    gone = {table: UNSET for table in kept.tables if table not in changed.tables}
    for table in (table for table in SETTINGS if table not in gone):
        was, now = kept.tables.get(table, {}), changed.tables.get(table, {})
        different = {k: v for k, v in now.items() if k not in was or was[k] != v}
        different |= {key: UNSET for key in was if key not in now}
        if different:
            tables[table] = different
    reasons = [f"{table}.{key}" for table in SETTINGS for key in tables.get(table, {})]
    if reasons:
        tables["provenance"] = dict.fromkeys(reasons, "chosen: my own")
    text = toml_text.document(tables, top={"schema": SCHEMA, **gone})
    return whole.write({file: text})[0]
