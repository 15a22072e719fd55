"""`tinydiff-tui export`."""

import argparse

from core.files import is_plain
from tinydiff_tui.commands.newest import checkpoint_of
from tinydiff_tui.commands.options import output_path
from tinydiff_tui.commands.output import say


def run(options: argparse.Namespace) -> int:
    """Write the averaged weights of a checkpoint with the config in the metadata."""
    checkpoint = checkpoint_of(options)
    output = output_path(options.output or checkpoint.with_suffix(".safetensors"), checkpoint)

    from core.runs.checkpoint import export_safetensors

    export_safetensors(checkpoint, output)
    size = f" ({output.stat().st_size / 2**20:.1f} MiB)" if is_plain(output) else ""
    say(f"weights and config: {output}{size}")
    return 0
