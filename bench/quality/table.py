"""Print what `bench.quality.trained` found, as a table of Markdown.

python -m bench.quality.table DIR...
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAMES = {
    "fp32": "fp32",
    "fp32, stored in bf16": "fp32, its result stored in bf16",
    "other seed": "fp32 with another seed",
    "mixed": "fp32 weights, computed in bf16",
    "chance": "bf16, stochastic rounding",
    "kahan": "bf16, Kahan summation",
    "plain": "bf16, neither",
}
HEAD = ("", "loss on held-out images", "of fp32's gain", "distance", "along", "never moved")


def main() -> None:
    """Print a table for each folder: a row for each format, a line for each group."""
    for folder in sys.argv[1:]:
        found = json.loads((Path(folder) / "judged.json").read_text("utf-8"))
        count = sum(found["parameters"].values())
        begin = statistics.fmean(found["begin"]["losses"])
        print(f"{folder}: {count / 1e6:.1f} million weights; loss before: {begin:.5f}")
        for group in found["groups"]:
            print(f"\n{group['name']}\n")
            print(_row(HEAD), _row("---" for _ in HEAD), sep="\n")
            for row in _rows(group["models"], begin):
                print(row)
        print()


def _rows(models: Mapping[str, Any], begin: float) -> Iterator[str]:
    losses = models["fp32"]["losses"]
    gain = begin - statistics.fmean(losses)
    for key, name in NAMES.items():
        if key not in models:
            continue
        told, own = models[key], models[key]["all"]
        loss = statistics.fmean(told["losses"])
        # Of the same images with the same noise, so what counts is how differently they changed.
        off = [a - b for a, b in zip(told["losses"], losses, strict=True)]
        error = statistics.stdev(off) / len(off) ** 0.5
        yield _row(
            (
                name,
                f"{loss:.5f}",
                f"{100 * (begin - loss) / gain:.1f} ± {100 * error / abs(gain):.1f} %",
                f"{100 * own['distance']:.1f} %",
                f"{100 * own['along']:.1f} %",
                f"{100 * own['still']:.1f} %",
            )
        )


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
