"""`tinydiff-tui export`."""

import argparse

from core.files import require_checkpoint, user_path
from tinydiff_tui.commands.output import say


def run(options: argparse.Namespace) -> int:
    """Write the averaged weights of a checkpoint with the config in the metadata."""
    checkpoint = user_path(options.checkpoint)
    require_checkpoint(checkpoint)
    output = user_path(options.output) if options.output else checkpoint.with_suffix(".safetensors")

    from core.runs.checkpoint import export_safetensors

    export_safetensors(checkpoint, output)
    say(f"weights and config: {output} ({output.stat().st_size / 2**20:.1f} MiB)")
    return 0
