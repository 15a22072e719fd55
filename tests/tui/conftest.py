"""What every test of the app shares: the terminal that it is shown on, and that nobody has set it up before."""

import pytest

TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
OTHERS = (
    "NO_COLOR", "FORCE_COLOR", "TERM_PROGRAM", "TERM_FEATURES", "KITTY_WINDOW_ID", "VTE_VERSION", "WT_SESSION", "TMUX",
    "TMUX_PANE", "STY", "ZELLIJ", "SSH_CONNECTION",
)  # fmt: skip


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with all colours, of which no more is known, wherever the tests are run."""
    for name in OTHERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in TERMINAL.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What one test has the app remember, as the density of pictures, is not there in the next."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
