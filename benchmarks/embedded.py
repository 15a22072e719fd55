"""Makes the embedded model, core/runs/glyphs.safetensors: `fast` trained on glyphs for 12 minutes, averaged weights in 16 bits.

    python -m benchmarks.embedded [FOLDER]

FOLDER is that training's run: taken as it is when it has finished, else trained here for 12 minutes, by the program's command.
`tinydiff-tui evaluate --checkpoint core/runs/glyphs.safetensors` says how good the result is.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from core.errors import UserError
from core.runs.checkpoint import export_safetensors
from core.runs.embedded import embedded_model
from core.runs.folder import RunDir, read_run

RECIPE = {"dataset": "glyphs", "model": "fast", "budget": "12m", "seed": 0}
MOST_BYTES = 3_000_000


def finished_run(folder: Path) -> Path:
    """The last checkpoint of the run in a folder; it is trained when there is none."""
    if not RunDir(folder).run_json.exists():
        flags = [f"--{name}={value}" for name, value in RECIPE.items()]
        command = [sys.executable, "-P", "-m", "tinydiff_tui", "train", *flags, f"--output-dir={folder}", "--plain"]
        subprocess.run(command, check=True)
    run = read_run(folder)
    if run.status != "finished" or any(getattr(run.config, name) != value for name, value in RECIPE.items()):
        raise UserError(f"{folder} is no finished run of {RECIPE}")
    return RunDir(folder).final


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("outputs/embedded"))
    checkpoint, written = finished_run(parser.parse_args().folder), embedded_model()
    export_safetensors(checkpoint, written, half=True)
    size = written.stat().st_size
    if size > MOST_BYTES:
        raise UserError(f"{written} has {size:,} bytes, more than {MOST_BYTES:,}")
    print(f"{written}: {size:,} bytes")


if __name__ == "__main__":
    main()
