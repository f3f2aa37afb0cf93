"""The size that sd-scripts takes a picture to have, where it is not the true one.

It asks imagesize 1.4.1, which it pins (library/train_util.py, BaseDataset.get_image_size;
library/dataset.py from v0.11.0 on). That does not know BMP and AVIF, and answers (-1, -1): from
v0.10.0 on Pillow is asked then. Of an extended WebP it gives a pixel too little in each direction.
"""

from __future__ import annotations

from kohya_presets.dataset.picture import Header
from kohya_presets.dataset.sizes.placement import Size
from kohya_presets.sdscripts import options

UNKNOWN = (-1, -1)
_UNKNOWN_FORMATS = frozenset({"BMP", "AVIF", "ICO", "TGA", "PSD"})


def believed(header: Header, release: str) -> Size | None:
    """Return the size that sd-scripts takes a picture to have; None where it is the true one."""
    if header.extended:
        return header.width - 1, header.height - 1
    old = options.is_in(release, "<0.10.0")
    return UNKNOWN if old and header.format in _UNKNOWN_FORMATS else None
