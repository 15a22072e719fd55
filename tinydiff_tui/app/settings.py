"""What the app remembers between two starts: theme, density and look of the pictures, the lessons that were run."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.files import read_json, user_folder, write_json
from tinydiff_tui.app.themes import DARK


@dataclass(frozen=True)
class Settings:
    """What can be remembered. `density` and `look` are those of `PixelGrid`, `learned` names lessons."""

    theme: str = DARK
    density: int = 0
    look: str = ""
    learned: str = ""


def settings_file() -> Path:
    return user_folder("config") / "settings.json"


def load_settings() -> Settings:
    """What was remembered; what is missing or damaged is as at the first start."""
    try:
        said = read_json(settings_file())
    except (OSError, ValueError):
        return Settings()
    if not isinstance(said, dict):
        return Settings()
    known: dict[str, Any] = {
        field.name: said[field.name] for field in fields(Settings) if type(said.get(field.name)) is type(field.default)
    }
    return replace(Settings(), **known)


def save_settings(**changes: Any) -> None:
    """Remember these, too; a folder that cannot be written is no reason to stop."""
    try:
        settings_file().parent.mkdir(parents=True, exist_ok=True)
        write_json(settings_file(), asdict(replace(load_settings(), **changes)))
    except (OSError, UserError):
        return
