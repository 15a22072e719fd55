"""`tinydiff-tui export`."""

import argparse

from core.errors import UserError
from core.files import is_plain
from tinydiff_tui.commands.newest import checkpoint_of
from tinydiff_tui.commands.options import output_path
from tinydiff_tui.commands.output import say


def run(options: argparse.Namespace) -> int:
    """Write the averaged weights of a checkpoint with the config in the metadata."""
    checkpoint = checkpoint_of(options)
    if options.format == "diffusers":
        # The nearest of them would need base_channels of time_dim, the same at every level, and identities for blocks of its own.
        raise UserError(
            f"{checkpoint} cannot be written for diffusers: in its UNet2DModel the embedding of t has the width of the first "
            "level, skips leave from other places and upsampling keeps the number of channels; leave --format out for safetensors"
        )
    output = output_path(options.output or checkpoint.with_suffix(".safetensors"), checkpoint)

    from core.runs.checkpoint import export_safetensors

    export_safetensors(checkpoint, output)
    size = f" ({output.stat().st_size / 2**20:.1f} MiB)" if is_plain(output) else ""
    say(f"weights and config: {output}{size}")
    return 0
