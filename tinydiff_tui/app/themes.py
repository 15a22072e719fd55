"""The app's two themes. Colour is meaning: x_0, epsilon, x_t and the predicted x_0 have one colour each, everywhere; so have the
loss, its raw values, and the loss of images held out. Names always stand beside, for terminals and eyes that see no colours."""

from textual.theme import Theme

DARK, LIGHT = "tinydiff-dark", "tinydiff-light"

THEMES = (
    Theme(
        name=DARK,
        primary="#5aa9ff",
        secondary="#7c8cff",
        accent="#ffb454",
        foreground="#d7dbe3",
        background="#0e1116",
        surface="#12161d",
        panel="#1a202a",
        success="#4ec98b",
        warning="#ffb454",
        error="#ff6b81",
        dark=True,
        variables={
            "x0": "#5aa9ff",
            "epsilon": "#ff7a90",
            "x-t": "#c79bff",
            "x0-hat": "#58d68d",
            "loss": "#ffb454",
            "raw": "#6f7785",
            "held": "#4fd6d2",
            "frame": "#333c4a",
            "grid": "#39414e",
            "axis": "#8a93a3",
            "cursor": "#e8eaf0",
        },
    ),
    Theme(
        name=LIGHT,
        primary="#1f6fd0",
        secondary="#4a55c9",
        accent="#b25f00",
        foreground="#1d2330",
        background="#fbfbf9",
        surface="#f3f3ef",
        panel="#e7e7e1",
        success="#1c8a52",
        warning="#b25f00",
        error="#c22e4b",
        dark=False,
        variables={
            "x0": "#1f6fd0",
            "epsilon": "#c22e4b",
            "x-t": "#7a3fc0",
            "x0-hat": "#1c8a52",
            "loss": "#b25f00",
            "raw": "#9aa0aa",
            "held": "#0f7f86",
            "frame": "#c3c6cc",
            "grid": "#d3d5d9",
            "axis": "#666d78",
            "cursor": "#1a7cff",  # stands beside black pictures on a light ground
        },
    ),
)
