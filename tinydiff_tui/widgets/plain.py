"""Foreign text in widgets: names, paths and messages of files are shown as they are, and nothing in them is markup."""

from rich.text import Text

from tinydiff_tui.text import printable


def plain(text: str, style: str = "") -> Text:
    """One line for a widget that would take a str for markup."""
    return Text(printable(text), style)
