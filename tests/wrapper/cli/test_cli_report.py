from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from tests.wrapper.reports import made_runs
from wrapper.cli import cli
from wrapper.reports import page


def test_report_prints_the_file_and_the_cost_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "my runs ü" / "korra"
    made_runs.done(folder)
    words = ["report", str(folder), "--rate", "2"]
    found = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert found.stdout == f"{folder.resolve() / 'report.html'}\n"
    assert "costs 0.05" in (folder / "report.html").read_text("utf-8")


def test_report_writes_elsewhere(tmp_path: Path) -> None:
    made_runs.done(tmp_path / "run")
    out = tmp_path / "pages" / "korra.html"
    words = ["report", str(tmp_path / "run"), "--out", str(out)]
    CliRunner().invoke(cli, words, catch_exceptions=False)
    assert [file.name for file in out.parent.iterdir()] == ["korra.html"]
    assert not (tmp_path / "run" / page.NAME).exists()
