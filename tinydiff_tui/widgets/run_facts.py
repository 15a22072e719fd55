"""What there is to say of a run, and in what fields several of them differ."""

import math
import time
from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from tinydiff_tui.jobs.runs import RunRow, differences, in_form, short_names
from tinydiff_tui.jobs.starting import changes
from tinydiff_tui.text import ago, printable
from tinydiff_tui.widgets.run_table import tail

WHY = {
    "crashed": "its process ended without saving: r goes on from the last checkpoint",
    "diverged": "its loss was no number any more: r goes on from the last good checkpoint",
}
"""What became of a run that failed."""


def facts(row: RunRow, quiet: str) -> Table:
    """Where a run lies, how it gets on, what of its settings is its own, what the judge said and what its person notes; the names
    of these in a quiet colour."""
    table = Table.grid(padding=(0, 1))
    table.add_column(style=quiet, no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in _said(row):
        table.add_row(name, Text(printable(said)))
    return table


def _said(row: RunRow) -> list[tuple[str, str]]:
    info = row.info
    if info is None:
        return [("trouble", row.error)]
    # A live run says how it gets on, in place of where it runs; one that failed what became of it.
    state = row.pulse if row.live else f"{info.status}: {WHY[info.status]}" if info.status in WHY else info.device
    own = ("output_dir", "data_dir", "dataset")
    changed = (f"{n.replace('_', ' ')} {in_form(v)}" for n, v in changes(info.config).items() if n not in own)
    said = [("folder", row.key), ("state", state), ("settings", ", ".join(changed) or "everything as by default")]
    if (v := row.verdict) is not None:
        how = f"{v.count:,} images, {v.sampler} {v.evaluations}, step {v.step:,}, {ago(time.time() - v.time)} ago"
        said.append(("judge", f"distance {v.distance:.3g}, where real images have {v.floor:.3g}: {how} · {v.judge}"))
    elif (told := row.nearest) is not None:
        real = f", where real images have {told.floor:.3g}" if math.isfinite(told.floor) else ""
        whose = f" · {told.judge}" if told.judge else ""
        said.append(("judge", f"distance {told.distance:.3g} at its best while it was trained{real}{whose}"))
    return [*said, ("note", row.note)] if row.note else said


def differing(rows: Sequence[RunRow], colours: Mapping[str, str], quiet: str, width: int) -> Table | Text:
    """The fields in which marked runs differ, a column a run, on so many cells; `colours` are those of their curves by key."""
    found = differences(rows)
    if not found:
        return Text("Nothing: all their fields are the same.", quiet)
    names = short_names(rows)
    most = max(4, (width - max(len(name) for name, _ in found)) // len(rows) - 4)
    table = Table(box=None, pad_edge=False, expand=False, header_style="not bold")
    table.add_column(Text("field", quiet), style=quiet, no_wrap=True)
    for row in rows:
        heading = Text("● ", colours.get(row.key, "")).append(tail(names[row.key], most))
        table.add_column(heading, overflow="fold")
    for name, values in found:
        table.add_row(name, *(Text(value) for value in values))
    return table
