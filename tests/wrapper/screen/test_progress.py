from __future__ import annotations

import io

import pytest
from rich.console import Console

from wrapper.screen import progress
from wrapper.screen.progress import Step

BAR = "steps:  50%|█████     | 6/12 [00:01<00:01,  4.50it/s, avr_loss=0.246]"


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (BAR, Step(6, 12, 4.5, 1.0, 0.246)),
        ("  5%|▌   | 11/228 [00:00<00:02, 100.1it/s]", Step(11, 228, 100.1, 2.0)),
        ("steps: 8%| | 1/12 [00:26<1:04:46, 20.0s/it, loss=nan]", None),
        ("  0%|          | 0/12 [00:00<?, ?it/s]", Step(0, 12)),
        ("epoch 1/2", None),
        ("saving checkpoint: a.safetensors", None),
    ],
)
def test_bars_are_read_and_nothing_else(line: str, step: Step | None) -> None:
    found = progress.read(line)
    if "nan" in line:
        assert found is not None
        assert found.loss != found.loss  # nan
        assert (found.rate, found.left) == (0.05, 3886.0)
    else:
        assert found == step


def test_a_step_reads_as_a_person_says_it() -> None:
    assert str(progress.read(BAR)) == "6/12  4.50 it/s  loss 0.246  0:01 left"
    assert str(Step(1, 12, 0.05, 3886.0)) == "1/12  20.0 s/it  1:04:46 left"


def test_without_a_terminal_the_last_state_is_a_plain_line() -> None:
    text = io.StringIO()
    with progress.shown("train", Console(file=text, width=20, soft_wrap=True)) as on_line:
        on_line(BAR)
        on_line("model saved.")
    assert text.getvalue() == "    train  6/12  4.50 it/s  loss 0.246  0:01 left\n"


def test_on_a_terminal_a_bar_is_drawn() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100)
    with progress.shown("train", console) as on_line:
        on_line(BAR)
    assert "loss 0.246" in text.getvalue()
    assert "━" in text.getvalue()
