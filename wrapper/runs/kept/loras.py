"""`keep = "loras"`: while training goes on, each checkpoint becomes its LoRA and is deleted.

A process of its own extracts (`kp_keep`). Here each LoRA is verified and given its place, and only
then its checkpoint is deleted. There are two checkpoints at most: with two waiting, training waits
too, until the first is extracted.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from kohya_presets.errors import UserError
from kohya_presets.loras import weights
from kohya_presets.problems import listed, plural
from wrapper.extraction import tool, verify
from wrapper.runs.kept import places, states
from wrapper.runs.manifest import Run, Stage
from wrapper.runs.watcher import Watcher
from wrapper.system import folders, launch, proc
from wrapper.watching import pauses
from wrapper.watching.pauses import Processes

MOST = 2  # checkpoints at once
POLL_SECONDS = 0.1
EXTRACTED = f"{states.SAYS}extracted "
FAILED = re.compile(rf"{states.SAYS}the LoRA of (.*) could not be extracted")


@contextlib.contextmanager
def while_training(
    run: Run, stage: Stage, watcher: Watcher, is_paused: Callable[[], bool] = lambda: False
) -> Iterator[Keeper]:
    """Extract the LoRAs of the checkpoints that `stage` saves, and of those that it has saved.

    What is left of them when training is finished is extracted then. An interrupt or a failure
    stops that; `resume` does the rest. A training that `is_paused` for another reason is left so.
    What is yielded wants the ticks of the training's processes.
    """
    keeper = Keeper(run, stage, watcher, is_paused)
    keeper.start()
    try:
        yield keeper
        keeper.finish()
    except BaseException:
        keeper.stop()
        raise


class Keeper:
    """Starts what extracts, and takes care of what it has made and of the checkpoints."""

    def __init__(
        self, run: Run, stage: Stage, watcher: Watcher, is_paused: Callable[[], bool]
    ) -> None:
        self.is_paused = is_paused
        assert run.keeps is not None
        self.run, self.stage, self.watcher, self.launch = run, stage, watcher, run.keeps
        self.made = run.folder / "work" / "keep"
        self.pattern = re.compile(tool.checkpoints_of(stage.output.stem))
        self.refused: set[str] = set()
        self.whole: dict[Path, tuple[int, int]] = {}  # size and age of those found to be whole
        self.ended = threading.Event()
        self.waits = False

    def start(self) -> None:
        """Start the process, after stopping one that an earlier kohya-presets has left."""
        launch.stop(launch.at_work(self.made))
        for part in self.made.glob("*.part.safetensors"):
            part.unlink()
        (self.made / tool.UNTIL).unlink(missing_ok=True)
        for folder in (self.made, self.run.folder / "lora"):  # after a power cut: made again
            for half in places.mark_unfinished(folder):
                self.watcher.say(f"keep: {half.stem} was not whole; it is kept as {half.name}")
        self.collect()
        self.launch.log.parent.mkdir(parents=True, exist_ok=True)
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Stop the process at once; what it has not done is done when the run is continued."""
        self.ended.set()
        while self.thread.is_alive():  # also one that is about to start the process
            launch.stop(launch.at_work(self.made))
            self.thread.join(POLL_SECONDS)

    def finish(self) -> None:
        """Wait for the LoRAs of all checkpoints that there are."""
        self.ended.set()
        if left := len(self.checkpoints()):
            loras = plural(left, "more LoRA")
            self.watcher.say(f"keep: training is finished; extracting {loras} of its checkpoints")
        self.made.mkdir(parents=True, exist_ok=True)
        (self.made / tool.UNTIL).touch()
        self.thread.join()
        self.collect()
        if not self.checkpoints():
            folders.delete(self.made)

    def say_left(self) -> None:
        """Say which checkpoints have no LoRA yet, of a training that has failed."""
        self.collect()
        if left := sorted(file.name for file in self.checkpoints() if self._is_whole(file)):
            resume = proc.our_line("resume", self.run.folder)
            self.watcher.say(f"keep: no LoRA yet of {listed(left)}; `{resume}` extracts it")

    def tick(self, processes: Processes) -> None:
        """Let training wait while there are as many checkpoints as there may be.

        Only while it is followed: one that is told to stop must hear that, and save its state.
        """
        left = [file for file in self.checkpoints() if file.name not in self.refused]
        if any(self._has_lora(file) for file in left):  # one that training has saved again
            self.collect()
        waiting = [file for file in left if not self._has_lora(file)]
        full = self.thread.is_alive() and len(waiting) >= MOST
        # One that is being written is never stopped in the middle.
        full = full and sum(map(self._is_whole, waiting)) >= MOST
        if full:
            pauses.pause(processes())
        elif self.waits and not self.is_paused():
            pauses.go_on(processes())
        self.waits = full

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints that there are, those being written among them."""
        files = self.stage.output.parent.glob("*.safetensors")
        return [file for file in files if self.pattern.fullmatch(file.name)]

    def collect(self) -> None:
        """Verify each LoRA that is made, give it its place, and delete its checkpoint."""
        into = self.run.folder / "lora"
        for lora in sorted(self.made.glob("*.safetensors")):
            if lora.name.endswith(".part.safetensors") or lora.name in self.refused:
                continue
            try:
                # Early on, text encoders may not have changed by as much as min_diff yet.
                found = verify.extracted(lora, text_encoders=False, min_diff=0)
            except UserError as error:
                self.refused.add(lora.name)
                self.watcher.say(f"keep: {error}; its checkpoint is kept")
                continue
            with contextlib.suppress(OSError):  # a full disk: tried again with the next one
                into.mkdir(exist_ok=True)
                _to_disk(lora)
                lora.replace(into / lora.name)
                self.watcher.say(f"keep: {into.name}/{lora.name}: {found}")
        for checkpoint in self.checkpoints():
            if self._has_lora(checkpoint) and self._is_whole(checkpoint):
                with contextlib.suppress(OSError):
                    checkpoint.unlink()

    def _has_lora(self, checkpoint: Path) -> bool:
        return self._is_whole(self.run.folder / "lora" / checkpoint.name)

    def _is_whole(self, file: Path) -> bool:
        """Return whether a file is whole; asked several times a second, so one is read once."""
        try:
            status = file.stat()
        except OSError:
            return False
        seen = status.st_size, status.st_mtime_ns
        if self.whole.get(file) != seen and weights.is_whole(file):
            self.whole[file] = seen
        return self.whole.get(file) == seen

    def _work(self) -> None:
        def heard(line: str) -> None:
            if line.startswith(EXTRACTED):
                self.collect()
            elif failed := FAILED.fullmatch(line):
                self.refused.add(failed[1])
                self.watcher.say(f"keep: {failed[0].removeprefix(states.SAYS)}, so it is kept")

        its, ours = os.pipe()  # closed by the system if we are killed: so it learns of that
        try:
            outcome = launch.run(self.launch, on_line=heard, stdin=its)
        finally:
            os.close(its)
            os.close(ours)
        if outcome.returncode and not self.ended.is_set():
            self.watcher.say(
                f"keep: extraction stopped with exit code {outcome.returncode}; checkpoints are "
                f"kept. Log: {self.launch.log}"
            )


def _to_disk(file: Path) -> None:
    """Have the disk write a file now: what it was made from is deleted next."""
    with file.open("r+b") as opened:
        os.fsync(opened.fileno())
