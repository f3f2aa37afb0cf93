"""Time light commands against the imports that no command line of ours could do without.

Paired: every round runs all of them once, in turn, so that a busy machine slows all alike. Prints
the median of each and its ratio to `python -c "import click, tomlkit"`, and fails above its limit.
`show` also checks each setting against the facts of the release, and estimates the memory.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from wrapper.system import proc

ROUNDS = 30
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}  # else each run compiles our modules anew
COMMAND = str(Path(sys.executable).with_name("kohya-presets"))
BASE = "import click, tomlkit"
RIVALS = {
    BASE: (sys.executable, "-c", BASE),
    "kohya-presets --help": (COMMAND, "--help"),
    "kohya-presets list": (COMMAND, "list"),
    "kohya-presets show skynet": (COMMAND, "show", "skynet"),
    "kohya-presets show lion": (COMMAND, "show", "lion"),
}
LIMITS = {BASE: 1.0, "kohya-presets --help": 1.5, "kohya-presets list": 1.5}
LIMIT = 2.0  # of all others


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
    slow = []
    for name, median in medians.items():
        ratio, limit = median / medians[BASE], LIMITS.get(name, LIMIT)
        print(f"{name:<28} {1000 * median:7.1f} ms  {ratio:5.2f} x  (at most {limit:.1f})")
        slow += [name] if ratio > limit else []
    if slow:
        sys.exit(f"too slow: {', '.join(slow)}")


if __name__ == "__main__":
    main()
