"""One short Markdown file a lesson, for the Learn mode."""
