"""The model that comes with the program: `fast`, trained on glyphs for twelve minutes, so that there is something to sample from
before anything was trained. `python -m benchmarks.embedded` makes it."""

from pathlib import Path


def embedded_model() -> Path:
    """Its checkpoint: averaged weights in 16 bits, read like any other. No run: nothing is to be written beside it."""
    return Path(__file__).with_name("glyphs.safetensors")
