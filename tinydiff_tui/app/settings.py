"""What the app remembers between two starts: the theme."""

from pathlib import Path

from core.errors import UserError
from core.files import read_json, user_folder, write_json

DARK, LIGHT = "textual-dark", "textual-light"


def settings_file() -> Path:
    return user_folder("config") / "settings.json"


def load_theme() -> str:
    """The remembered theme, else the dark one. A damaged file counts as none."""
    try:
        theme = read_json(settings_file())["theme"]
    except (OSError, ValueError, KeyError, TypeError):
        return DARK
    return theme if isinstance(theme, str) else DARK


def save_theme(theme: str) -> None:
    """Remember a theme; a folder that cannot be written is no reason to stop."""
    try:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        write_json(settings_file(), {"theme": theme})
    except (OSError, UserError):
        return
