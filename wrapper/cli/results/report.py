"""`kohya-presets report`."""

from __future__ import annotations

from pathlib import Path

import click

from wrapper.cli.options import FILE, FOLDER, force_option, rate_option


@click.command("report")
@click.argument("run", type=FOLDER)
@click.option("--out", type=FILE, help="File to write.  [default: report.html in RUN]")
@rate_option
@force_option
def command(run: Path, out: Path | None, rate: float | None, force: bool) -> None:
    """Write one HTML page about RUN: what was trained, its samples, curves and costs.

    `train`, `resume` and `rehearse` write it too, at every save and at the end of the run. The page
    needs no network and no other file. A report that is there is replaced.

    \b
    Example:
        kohya-presets report runs/korra --rate 1.9
    """
    from wrapper.reports import page  # jinja2 and Pillow: the list of commands needs neither

    click.echo(page.write(run, out, rate=rate, force=force))
