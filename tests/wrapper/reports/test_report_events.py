from __future__ import annotations

from pathlib import Path

from tests.wrapper.watching.event_files import event
from wrapper.reports import events
from wrapper.reports.events import Scalar

AT = 1.7e9


def name(second: int) -> str:
    return f"events.out.tfevents.{second}.machine.1.0"


def values(found: events.Scalars, tag: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in found[tag]]


def test_every_number_is_read_under_its_tag(tmp_path: Path) -> None:
    (tmp_path / name(1)).write_bytes(
        event(1, "loss", 0.5, AT)
        + event(1, "lr/unet", 0.25, AT)
        + event(300, "loss", 0.125, AT + 1)
    )
    found = events.read(tmp_path).scalars
    assert found == {
        "loss": [Scalar(1, 0.5, AT), Scalar(300, 0.125, AT + 1)],
        "lr/unet": [Scalar(1, 0.25, AT)],
    }


def test_what_was_trained_again_counts_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first = (event(n, "loss", 0.5, AT + n) for n in (1, 2, 3, 4))
    (tmp_path / "b" / name(100)).write_bytes(b"".join(first))
    again = event(3, "loss", 0.25, AT + 30) + event(4, "loss", 0.125, AT + 40)
    (tmp_path / name(200)).write_bytes(again)
    found = events.read(tmp_path)
    assert values(found.scalars, "loss") == [(1, 0.5), (2, 0.5), (3, 0.25), (4, 0.125)]
    assert found.ends == (AT + 4, AT + 40)


def test_files_are_in_the_order_of_time_and_not_of_letters(tmp_path: Path) -> None:
    (tmp_path / name(999)).write_bytes(event(1, "loss", 0.5) + event(2, "loss", 0.5))
    (tmp_path / name(1000)).write_bytes(event(2, "loss", 0.25))
    assert values(events.read(tmp_path).scalars, "loss") == [(1, 0.5), (2, 0.25)]


def test_a_file_that_is_cut_off_is_read_to_its_last_whole_event(tmp_path: Path) -> None:
    whole = event(1, "loss", 0.5) + event(2, "loss", 0.25)
    for end in range(len(event(1, "loss", 0.5)), len(whole)):
        (tmp_path / name(1)).write_bytes(whole[:end])
        assert values(events.read(tmp_path).scalars, "loss") == [(1, 0.5)]


def test_what_is_no_event_file_yields_nothing(tmp_path: Path) -> None:
    (tmp_path / name(1)).write_bytes(bytes(range(256)) * 8)
    (tmp_path / "events.out.tfevents.x").write_bytes(b"")
    assert events.read(tmp_path).scalars == {}
    assert events.read(tmp_path / "missing") == events.Logged({}, ())


def test_tags_that_are_no_text_stop_nothing(tmp_path: Path) -> None:
    record = event(1, "loss", 0.5).replace(b"loss", b"l\xffss")
    (tmp_path / name(1)).write_bytes(record)
    assert [*events.read(tmp_path).scalars] == ["l\ufffdss"]
