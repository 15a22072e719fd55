"""The app itself: modes, themes, signals, starting it in a terminal and leaving it."""
