"""What the benchmarks say of ours: ahead, at the memory's limit, level or behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench.loading import load

pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[test]'")
ROUNDS = 20


paired = load("paired")


def timing(name: str, seconds: Any, moved: int = 10) -> Any:
    return paired.Timing(paired.Rival(name, lambda: None, moved, 0), 100, tuple(seconds))


def always(seconds: float) -> list[float]:
    return [seconds] * ROUNDS


def won(rounds: int, ours: float = 1.0) -> list[float]:
    """Seconds of a rival that is slower than ours in so many rounds, and faster in the others."""
    return [ours * 1.05] * rounds + [ours / 1.05] * (ROUNDS - rounds)


@pytest.mark.parametrize(
    ("rounds", "copy", "said", "is_failure"),
    [
        (20, 0.5, "ours is ahead of theirs", False),
        (15, 0.5, "ours is ahead of theirs", False),
        (14, 0.5, "ours is level with theirs", True),
        (14, 0.89, "and at 89% of copy_ only", True),
        (14, 0.91, "ours is at the memory's limit (91% of copy_), level with theirs", False),
        (6, 2.0, "ours is at the memory's limit (200% of copy_), level with theirs", False),
        (5, 2.0, "ours is behind theirs", True),  # the limit is no excuse
        (0, 2.0, "ours is behind theirs", True),
    ],
)
def test_level_is_enough_at_the_limit_of_memory_only(
    rounds: int, copy: float, said: str, is_failure: bool
) -> None:
    found = paired.verdict(
        timing("ours", always(1.0)), timing("theirs", won(rounds)), timing("copy_", always(copy))
    )
    assert said in found[0]
    assert found[1] is is_failure


def test_a_few_lucky_rounds_do_not_make_it_level() -> None:
    theirs = timing("theirs", [1.2] * 6 + [0.66] * (ROUNDS - 6))
    said, is_failure = paired.verdict(
        timing("ours", always(1.0)), theirs, timing("copy_", always(2.0))
    )
    assert said == "ours is behind theirs, which takes 0.66 of its time for a byte"
    assert is_failure


def test_they_are_compared_by_the_byte() -> None:
    """A rival that takes as long, and moves twice the bytes, is ahead."""
    ours, theirs = timing("ours", always(1.0)), timing("theirs", always(1.0), moved=20)
    assert paired.verdict(ours, theirs, timing("copy_", always(1.0))) == (
        "ours is behind theirs, which takes 0.50 of its time for a byte",
        True,
    )


def test_only_failures_are_returned(capsys: pytest.CaptureFixture[str]) -> None:
    ours, slow, fast = (timing(n, always(s)) for n, s in (("o", 1.0), ("slow", 2.0), ("fast", 0.5)))
    failures = paired.show(ours, [slow, fast], timing("copy_", always(1.0)))
    assert failures == ["o is behind fast, which takes 0.50 of its time for a byte"]
    assert "o is ahead of slow, which takes 2.00 of its time for a byte" in capsys.readouterr().out


def test_or_by_the_parameter() -> None:
    ours, theirs = timing("ours", always(1.0)), timing("theirs", always(1.1), moved=20)
    assert paired.verdict(ours, theirs, timing("copy_", always(1.0)), "parameter") == (
        "ours is ahead of theirs, which takes 1.10 of its time for a parameter",
        False,
    )


def test_a_whole_takes_what_its_parts_take_round_by_round() -> None:
    found = paired.together([(timing("a", [1.0, 2.0]), 3), (timing("a", [0.5, 0.0]), 2)])
    assert found.seconds == (4.0, 6.0)
    assert found.parameters == 500
    assert found.per("parameter") == (8e6, 12e6)


def test_the_spread_is_that_of_the_middle_half() -> None:
    assert timing("a", [1.0, 2.0, 3.0, 4.0, 100.0]).spread == pytest.approx(2 / 3)
    assert timing("a", [1.0]).spread == 0
