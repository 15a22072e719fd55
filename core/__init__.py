"""The diffusion engine of tinydiff-tui: schedules, networks, training and sampling, with no terminal in sight."""
