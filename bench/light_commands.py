"""Time `list` and `show` against the imports that no command line of ours could do without.

Paired: every round runs all of them once, in turn, so that a busy machine slows all alike. Prints
the median of each and its ratio to `python -c "import click, tomlkit"`; above 1.5 is a failure.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from wrapper.system import proc

ROUNDS = 30
LIMIT = 1.5
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}  # else each run compiles our modules anew
COMMAND = str(Path(sys.executable).with_name("kohya-presets"))
RIVALS = {
    "import click, tomlkit": (sys.executable, "-c", "import click, tomlkit"),
    "kohya-presets list": (COMMAND, "list"),
    "kohya-presets show skynet": (COMMAND, "show", "skynet"),
    "kohya-presets show lion": (COMMAND, "show", "lion"),
}


def main() -> None:
    """Run the rounds, print the table, fail above the limit."""
    seconds: dict[str, list[float]] = {name: [] for name in RIVALS}
    for argv in RIVALS.values():
        proc.run(argv, env=COMPILED)  # once, so that no one pays for cold files
    for _ in range(ROUNDS):
        for name, argv in RIVALS.items():
            started = time.perf_counter()
            proc.run(argv, env=COMPILED)
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    base = medians["import click, tomlkit"]
    for name, median in medians.items():
        print(f"{name:<28} {1000 * median:7.1f} ms  {median / base:5.2f} x")
    if max(medians.values()) > LIMIT * base:
        sys.exit(f"slower than {LIMIT} times the imports")


if __name__ == "__main__":
    main()
