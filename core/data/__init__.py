"""Data sets: the named ones, folders of a person's own images, the embedded glyphs, downloads."""
