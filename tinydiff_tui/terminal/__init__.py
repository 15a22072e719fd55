"""Everything that knows bytes, cells and Textual's insides. Nothing of the engine."""
