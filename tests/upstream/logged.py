"""Print what a training has logged for TensorBoard: {tag: [[step, value], ...]}, as JSON.

    python logged.py LOGGING_DIR

Runs with the trainer's Python, which has TensorBoard.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-not-found, unused-ignore]
    EventAccumulator,
)

found: dict[str, list[tuple[int, float]]] = {}
for file in sorted(Path(sys.argv[1]).rglob("events.out.tfevents.*")):
    events = EventAccumulator(str(file), size_guidance={"scalars": 0})
    events.Reload()
    for tag in events.Tags()["scalars"]:
        found.setdefault(tag, []).extend((e.step, e.value) for e in events.Scalars(tag))
print("LOGGED", json.dumps(found))
