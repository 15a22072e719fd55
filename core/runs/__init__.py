"""What a run is on disk: its folder, its checkpoints, and going on from them. Free of torch but for the checkpoints."""

from core.runs.folder import RunDir, RunInfo, find_runs, read_run

__all__ = ["RunDir", "RunInfo", "find_runs", "read_run"]
