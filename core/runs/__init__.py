"""What a run is on disk: its folder, its checkpoints, and going on from them. Free of torch but for the checkpoints."""
