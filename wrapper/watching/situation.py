"""What an answer depends on: the settings of the preset at hand, the stage, what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kohya_presets.problems import listed
from kohya_presets.toml import text as toml_text
from kohya_presets.training.settings import Settings
from wrapper.system import proc
from wrapper.watching.findings import Kept

Changes = Mapping[str, Any]  # settings by "table.key"


@dataclass(frozen=True)
class Situation:
    """A stage of a run as it stopped; what is not known is None."""

    settings: Settings | None = None
    stage: str = "train"
    run: Path | None = None
    python: str = ""  # of the trainer environment
    states: Sequence[Kept] = ()  # whole ones, in any order
    free: int | None = None  # bytes on the disk of the run

    def train(self, key: str) -> Any:
        """Return the training option in effect, None where it is not known."""
        return self.settings.train(key) if self.settings else None

    def knows(self, key: str) -> bool:
        """Return whether the release has this training option, as far as is known."""
        return self.settings is None or key in self.settings.known("train")

    @property
    def resume(self) -> str:
        """The command that continues the run."""
        return f"`{proc.our_line('resume', self.run or 'RUN')}`"

    def install(self, package: str) -> str:
        """Return the command that installs a package beside the trainer's."""
        words = (self.python or "python", "-m", "pip", "install", package)
        return f"`{proc.command_line(words)}`"

    def newest(self, before: int | None = None) -> Kept | None:
        """Return the newest state, or the newest one of a step below `before`."""
        fit = [state for state in self.states if before is None or state.step < before]
        return max(fit, key=lambda state: state.step, default=None)


def options(changes: Changes) -> str:
    """Return settings as they are typed: "--set train.sdpa=true and --set …"."""
    return listed(f"--set {_typed(key, value)}" for key, value in changes.items())


def _typed(key: str, value: Any) -> str:
    # `--set` takes a bare word, and a shell would remove the quotes.
    return f"{key}={value if isinstance(value, str) else toml_text.value_text(value)}"
