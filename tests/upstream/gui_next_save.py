"""Run in a process of its own: save the GUI's presets as its next version does.

python gui_next_save.py GUI_FOLDER INTO

Prints {"name.json": "name.toml"} of what its branch's own functions open and save.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from gui_replay import Missing  # beside this file


def main(folder: Path, into: Path) -> None:
    """Open each preset, which also derives the options, and save it as the button does."""
    sys.meta_path.append(Missing("kohya_gui_v2"))  # type: ignore[arg-type]
    sys.path.insert(0, str(folder))
    importing = importlib.import_module("kohya_gui_v2.legacy_import")
    saving = importlib.import_module("kohya_gui_v2.config_io")
    done = {}
    for file in sorted((folder / "presets").glob("*/*.json")):
        found = importing.import_json(str(file))
        values = {**found.values, "architecture": found.architecture}
        target = into / f"{len(done)}.toml"
        saving.save_config(importing.REGISTRIES[found.training_type], values, str(target))
        done[str(file)] = str(target)
    print("SAVED", json.dumps(done))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
