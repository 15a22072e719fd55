"""`tinydiff-tui datasets`."""

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from core.data.datasets import SetInfo, default_data_dir, describe, list_datasets
from core.errors import UserError
from core.files import user_path
from core.names import DATASETS
from tinydiff_tui.commands.output import say, say_json, show
from tinydiff_tui.commands.progress import make_progress


def run(options: argparse.Namespace) -> int:
    """List the data sets and where they stand, or download one."""
    root = user_path(options.data_dir) if options.data_dir else default_data_dir()
    if options.download and options.json:
        raise UserError("--json lists the data sets, and --download fetches one; leave one of them out")
    if options.download:
        return _download(options.download, root, plain=options.plain)
    if options.json:
        say_json({"folder": str(root), "datasets": [_entry(info) for info in list_datasets(root)]})
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("name", "images", "size", "classes", "status"):
        table.add_column(heading, justify="right" if heading in ("images", "classes") else "left", no_wrap=True)
    table.add_column("what", overflow="fold")
    for info in list_datasets(root):
        height, width, channels = info.shape
        table.add_row(info.name, f"{info.size:,}", f"{height}x{width}x{channels}", str(info.classes), info.status, info.title)
    table.add_row("folder:PATH", "", "", "", "", "any tree of images; its folders are the classes")
    show(table)
    say(f"data folder: {root} (--data-dir or TINYDIFF_DATA_DIR)")
    return 0


def _entry(info: SetInfo) -> dict[str, Any]:
    height, width, channels = info.shape
    return {
        "name": info.name, "title": info.title, "images": info.size,
        "test_images": DATASETS[info.name].test_size, "height": height, "width": width, "channels": channels,
        "classes": info.classes, "status": info.status, "where": str(info.where),
    }  # fmt: skip


def _download(name: str, root: Path, *, plain: bool) -> int:
    info = describe(name, root)
    if info.status != "can be downloaded":
        raise UserError(f"{name} is {info.status} already ({info.where}); there is nothing to download")
    from core.data.download import download

    with make_progress(plain=plain) as progress:
        for part in download(name, root):
            if progress.due(part.done >> 16, 32):
                progress.update(part.done, part.total, part.file, None)
        progress.say(f"{name} is in {describe(name, root).where}")
    return 0
