"""x_t = a x_0 + s epsilon, in pictures: three of one size, with the two numbers between them."""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.renderables.digits import DIGITS, DIGITS3X3_BOLD
from textual.widget import Widget

from tinydiff_tui.terminal.support import ascii_only
from tinydiff_tui.terminal.tiling import alone
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.pixel_grid import PixelGrid

FRAME = 2  # cells of a box that are no picture, across and down
BIG, SMALL = 13, 9  # columns of a number with a sign and a dot: in large digits, in plain ones


class Term(NamedTuple):
    """How a term of the equation is shown: the columns and rows of its picture, and the columns of a number."""

    columns: int
    rows: int
    number: int


def fit_terms(width: int, height: int, side: tuple[int, int]) -> Term:
    """The largest pictures of side (height, width) that stand beside each other on so many cells: whole pixels by half-blocks
    where these fit, else as large as leaves the numbers large."""
    rows, columns = side
    for times in range(max(width // columns, 1), 0, -1):
        across, down = times * columns, -(-times * rows // 2)
        number = (width - 3 * (across + FRAME)) // 2
        if number >= SMALL and down + FRAME <= height:
            return Term(across, down, number)
    most = max(1, (width - 2 * BIG) // 3 - FRAME)
    down = max(1, min(height - FRAME, round(most * rows / columns / 2)))
    across = max(1, min(round(down * 2 * columns / rows), most))
    return Term(across, down, (width - 3 * (across + FRAME)) // 2)


class Weight(Widget):
    """A number of the equation between a sign and a dot: its formula above, all of its digits below."""

    DEFAULT_CSS = "Weight { width: 13; height: 1fr; }"

    def __init__(self, sign: str, *, id: str) -> None:
        super().__init__(id=id)
        self.sign = sign
        self.value = 0.0
        self.formula = ""

    def show(self, value: float, formula: str) -> None:
        """Another number."""
        if (value, formula) != (self.value, self.formula):
            self.value, self.formula = value, formula
            self.refresh()

    def render(self) -> Text:
        """Five lines in the middle of the height; in a narrow place the number is small."""
        width, height = self.size
        said = f"{self.value:.2f}"
        if width < BIG or ascii_only():
            lines = [f"{self.sign} {said} ·"]
        else:
            gap = " " * (width > BIG)
            signs = ("  ", f"{self.sign} ", "  "), (f"{gap} ", f"{gap}·", f"{gap} ")
            lines = [left + digits + right for left, digits, right in zip(signs[0], large(said), signs[1], strict=True)]
        text = Text("\n" * max(0, (height - len(lines) - 2) // 2), no_wrap=True, end="")
        text.append(f"{self.formula.center(width)}\n", "dim").append("\n".join(line.center(width) for line in lines), "bold")
        return text.append("\n" + f"{self.value:.5f}".center(width), "dim")


def large(number: str) -> tuple[str, str, str]:
    """A number in digits of three rows."""
    rows = ["", "", ""]
    for char in number:
        if char in DIGITS:
            start = DIGITS.index(char) * 3
            for y in range(3):
                rows[y] += DIGITS3X3_BOLD[start + y].ljust(3)
        else:
            rows = [rows[0] + " ", rows[1] + " ", rows[2] + char]
    return rows[0], rows[1], rows[2]


class Film(PixelGrid):
    """x_t at the eight marks, none of them on another page."""

    LEAST = 8


class Equation(Horizontal):
    """The three pictures and two numbers; `fit` gives them the place that there is."""

    DEFAULT_CSS = """
    Equation { height: 16; align-horizontal: center; }
    Equation Box { padding: 0; width: 30; height: 1fr; align: center middle; }
    Equation .x-t { border-title-color: $x-t; }
    Equation .x0 { border-title-color: $x0; }
    Equation .epsilon { border-title-color: $epsilon; }
    Equation #a { color: $x0; }
    Equation #s { color: $epsilon; }
    Equation.-alone .x0, Equation.-alone .epsilon, Equation.-alone Weight { display: none; }
    """

    def compose(self) -> ComposeResult:
        yield Box(PixelGrid(id="x_t"), title="x_t", id="x_t-box", classes="x-t")
        yield Weight("=", id="a")
        yield Box(PixelGrid(id="x0"), title="x₀", id="x0-box", classes="x0")
        yield Weight("+", id="s")
        yield Box(PixelGrid(id="epsilon"), title="ε", id="epsilon-box", classes="epsilon")

    def fit(self, width: int, height: int, side: tuple[int, int]) -> int:
        """Take a place of so many cells at the most, for pictures of side (height, width), and say how many rows of it are used;
        x_t takes all of it when it is alone.

        The frames say which values are black and white: -1 and 1, of epsilon -2 and 2; values beyond these are cut.
        """
        term = fit_terms(width, height, side)
        single = self.has_class("-alone")
        if single:
            term = Term(*alone(side, (width - FRAME, height - FRAME)), term.number)
        used = height if single else term.rows + FRAME
        self.styles.height = used
        for box, grid in zip(self.query(Box), self.query(PixelGrid), strict=True):
            box.styles.width = width if single else term.columns + FRAME
            grid.styles.width, grid.styles.height = term.columns, term.rows
        for number in self.query(Weight):
            number.styles.width = min(term.number, 21)
        said = "−{0} … {0}, cut beyond" if term.columns > 21 else "cut at ±{0}"
        self.query_one("#x_t-box", Box).figures = said.format(1)
        self.query_one("#x0-box", Box).figures = "−1 … 1"
        self.query_one("#epsilon-box", Box).figures = said.format(2)
        return used
