"""`tinydiff-tui export`."""

import argparse
from pathlib import Path

from core.errors import UserError
from tinydiff_tui.progress import print_line


def run(options: argparse.Namespace) -> int:
    """Write the averaged weights of a checkpoint with the config in the metadata."""
    checkpoint = Path(options.checkpoint)
    if not checkpoint.is_file():
        raise UserError(f"there is no checkpoint {checkpoint}; train one with 'tinydiff-tui train', or check the name")
    output = Path(options.output) if options.output else checkpoint.with_suffix(".safetensors")

    from core.checkpoint import export_safetensors

    export_safetensors(checkpoint, output)
    print_line(f"weights and config: {output} ({output.stat().st_size / 2**20:.1f} MiB)")
    return 0
