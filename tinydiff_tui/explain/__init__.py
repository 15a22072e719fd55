"""One short Markdown file a mode; a test checks that every function they name exists."""
