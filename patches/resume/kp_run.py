"""One training that saves states, and goes on from one.

A state has, beside accelerate's files, the position in the epoch and the random generators at three
moments: at the beginning of the epoch, before its last batch was asked for, and now. The first two
are what it takes to get the same next batch from the data loader, which is one batch ahead.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import kp_position, kp_states, kp_together
from .kp_generators import Snapshot
from .kp_position import Position
from .kp_training import Training, say

STOPPED = 85  # exit code after a signal: a state is saved, the training can be continued
# SIGBREAK is Windows': there, no process can be told to terminate.
_SIGNALS = tuple(name for name in ("SIGTERM", "SIGUSR1", "SIGBREAK") if hasattr(signal, name))


class Run:
    """One training: where it is, where it began, and the states that it saves."""

    def __init__(
        self,
        args: argparse.Namespace,
        folder: Path,
        ours: Position | None,
        *,
        timed: bool,
        quiet: bool,  # whether log lines draw no random numbers
    ) -> None:
        self.args, self.folder, self.timed, self.quiet = args, folder, timed, quiet
        self.resumed = ours  # where this process goes on, until it is there
        self.step = self.epoch = self.batches = 0  # of this epoch
        self.finished = self.in_batch = False
        self.first_epoch = 0  # that this process trains
        self.epoch_start: Snapshot = {}
        self.before_last: Snapshot = {}
        self._asked: str | None = None  # the signal to stop for
        # A state of sd-scripts that gets our part later, and the seconds it took.
        self._undescribed: tuple[Path, float] | None = None

    def start(self, found: Mapping[str, Any]) -> tuple[int, Any]:
        """Go to where the state was saved; return its step, and the data loader to use from now.

        `found` are the variables of the script's `train`.

        Raises:
            ValueError: the processes do not see the same states.
        """
        self.training, self.step = Training.of(found), found["global_step"]
        self.loader = self.training.loader
        self.accelerator = accelerator = self.training.accelerator
        self._save_state, accelerator.save_state = accelerator.save_state, self.save_state
        at = self.resumed
        kp_together.require_the_same(accelerator, self.args.resume, at and (at.step, at.batches))
        self._go_to()
        if self.timed:
            kp_together.require_one_folder(accelerator, self.folder)
            self.saved_at = time.monotonic()
            for name in _SIGNALS:
                signal.signal(getattr(signal, name), self._ask)
            self.training.torch_loader.worker_init_fn = _leave_signals_to_the_trainer
        return self.step, _Loader(self)

    def has_done(self, epoch: int) -> bool:
        """Return whether this epoch was over before this process began."""
        self._describe()
        position = self.resumed
        if epoch < self.first_epoch:
            return True
        if position and epoch > position.epoch and position.step >= self.args.max_train_steps:
            return True
        self.epoch, self.finished = epoch, False
        return False

    def batches_of_epoch(self) -> Iterator[Any]:
        """Yield the batches of this epoch that are left."""
        position, self.resumed = self.resumed, None
        if hasattr(self.loader, "iteration"):
            self.loader.iteration = self.epoch  # accelerate 0.25 orders by it
        if position and not position.finished:
            iterator = self._replay(position)
        else:
            self.epoch_start, self.batches, iterator = self.training.take(), 0, iter(self.loader)
        if self.step >= self.args.max_train_steps:
            return
        while True:
            self.before_last = self.training.take()
            try:
                batch = next(iterator)
            except StopIteration:
                self.finished = True
                return
            self.batches, self.in_batch = self.batches + 1, True
            yield batch

    def after_batch(self, epoch: int, step: int) -> None:
        """Save a state if it is time to, or if a signal asked for it: then stop."""
        self.epoch, self.step, self.in_batch = epoch, step, False
        self.finished = step >= self.args.max_train_steps  # the script leaves the loop
        if self.accelerator.sync_gradients:
            self._describe()
        if not (self.timed and self.accelerator.sync_gradients):
            return
        due = time.monotonic() - self.saved_at >= self.args.state_every_minutes * 60
        asked, due = self.training.agreed(self._asked is not None, due and not self.finished)
        if asked or due:
            self.finished = False
            self.save(stopping=asked)
        if asked:
            self.training.bar.close()
            say(f"stopped by {self._asked or 'a signal'} after step {step}, exit code {STOPPED}")
            self.accelerator.end_training()
            raise SystemExit(STOPPED)

    def save(self, *, stopping: bool) -> None:
        """Save a state and delete the oldest. Where it fails, training goes on."""
        begun, now, rank = time.monotonic(), self.training.take(), self.accelerator.process_index
        part = kp_states.part(self.folder, self.step)

        def make() -> None:
            if rank == 0:
                kp_states.make(part)

        def write() -> None:
            self._save_state(str(part))
            self.training.give(now)  # saving moves Python's
            self._position().save(part, rank)

        def finish() -> None:
            if rank == 0:
                state, manifest = kp_states.finish(part, self._position().manifest(), begun)
                kp_states.prune(self.folder, self.args.state_keep)
                seconds, size = manifest["seconds"], manifest["bytes"] / 1e9
                where = f"step {self.step} (epoch {self.epoch + 1})"
                say(f"state of {where} saved in {seconds:.1f} s, {size:.2f} GB: {state}")

        try:
            # No process goes on, or ends, before all have done each: its launcher ends the others.
            for each in (make, write, finish):
                kp_together.do(self.accelerator, each)
        except (OSError, RuntimeError) as error:  # mostly a full disk
            if stopping:
                raise
            if rank == 0:
                kp_states.remove(part)
            self.training.give(now)
            say(f"the state of step {self.step} could not be saved, training goes on: {error}")
        self.saved_at = time.monotonic()

    def save_state(self, folder: str, *rest: Any, **named: Any) -> Any:
        """Save a state of sd-scripts' own, which gets our part when the step is over."""
        begun, state = time.monotonic(), Path(folder)
        (state / kp_states.MANIFEST).unlink(missing_ok=True)  # of an earlier one, in its place
        done = self._save_state(folder, *rest, **named)
        self._undescribed = (state, round(time.monotonic() - begun, 3))
        if not self.in_batch:  # an epoch is over: once more when it is sampled, if it is
            self._write_into(*self._undescribed)
        return done

    def _describe(self) -> None:
        """Write our part into the last state of sd-scripts' own.

        With several processes the first one alone saves such states, and tells the others.
        """
        found, self._undescribed = self._undescribed, None
        together = self.accelerator.num_processes > 1 and self.args.save_state
        if together:
            if not any(self.training.agreed(found is not None)):
                return
            found = next(each for each in kp_together.of_all(self.accelerator, found) if each)
        if found is not None:
            self._write_into(*found, together=bool(together))

    def _write_into(self, state: Path, seconds: float, *, together: bool = False) -> None:
        there = state.is_dir()
        position = self._position()
        if there:
            position.save(state, self.accelerator.process_index)
        if together:
            self.accelerator.wait_for_everyone()
        if there and self.accelerator.is_main_process:
            kp_states.write(state, {**position.manifest(), "seconds": seconds})

    def _go_to(self) -> None:
        """Set everything but the data loader to where the state was saved."""
        setting, resume = self._setting(), self.args.resume
        position = self.resumed
        if position is None and resume and self.timed:
            accumulation = setting["accumulation"]
            position = kp_position.guess(Path(resume), len(self.loader), accumulation)
            if position is None:
                say(f"the step of {resume} is not known: steps are counted from 0")
                return
            differences = ["this patch has not saved the state, only its step is known"]
        elif position is None:
            return
        else:
            differences = position.differences(setting)
        self.resumed, self.step, self.epoch = position, position.step, position.epoch
        self.batches, self.finished = position.batches, position.finished
        self.first_epoch = position.epoch + position.finished
        self.training.shuffle(self.first_epoch)
        if moments := position.moments:
            self.epoch_start, self.before_last = moments["epoch_start"], moments["before_last"]
            self.training.give(moments["now"])
        self.training.show(position.step)
        before = 0 if position.finished else position.batches
        self.training.go_on_with(position.losses, self.first_epoch, before)
        say(f"continuing after step {position.step} (epoch {position.epoch + 1}): {resume}")
        found = kp_together.of_all(self.accelerator, differences)
        for rank, each in enumerate(found[1:], start=1):
            differences += [f"in process {rank}, {one}" for one in each if one not in found[0]]
        if differences:
            say("it will not be exactly the same training: " + "; ".join(differences))

    def _replay(self, position: Position) -> Iterator[Any]:
        """Return the loader's iterator after the batches that are taken."""
        moments = position.moments
        if moments:
            self.training.give(moments["epoch_start"])
        self.epoch_start, self.batches = self.training.take(), position.batches
        iterator = iter(self.loader)
        for left in range(position.batches, 0, -1):
            if left == 1 and moments:
                self.training.give(moments["before_last"])  # it fetches the batch after it
            next(iterator, None)
        if moments:
            self.training.give(moments["now"])
        return iterator

    def _position(self) -> Position:
        moments = {
            "epoch_start": self.epoch_start,
            "before_last": self.before_last,
            "now": self.training.take(),
        }
        where = (self.step, self.epoch, self.batches)
        setting = self._setting()
        return Position(*where, self.finished, moments, self.training.losses(), setting)

    def _setting(self) -> dict[str, Any]:
        return {"seed": self.args.seed, "quiet": self.quiet, **self.training.setting()}

    def _ask(self, number: int, frame: Any) -> None:
        self._asked = signal.Signals(number).name


class _Loader:
    """The data loader of a training, from where it goes on."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __iter__(self) -> Iterator[Any]:
        return self._run.batches_of_epoch()

    def __len__(self) -> int:
        return len(self._run.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run.loader, name)


def _leave_signals_to_the_trainer(worker: int) -> None:
    """Let a data loader's worker go on when a signal is sent to all processes of the training."""
    for name in _SIGNALS:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
