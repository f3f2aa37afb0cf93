"""The door of `kohya-presets` and of `python -m kohya_presets`, from a clone or from a wheel."""

from __future__ import annotations

import sys
from pathlib import Path

# A wheel has `wrapper` and `patches` in here: names so common belong to nobody in site-packages.
# In our own process they come first, whatever else is called so. A clone has no such folder.
INSTALLED = Path(__file__).parent / "_installed"
if INSTALLED.is_dir():
    sys.path.insert(0, str(INSTALLED))

from wrapper.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
