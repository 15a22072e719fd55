"""Words in cells beside pictures: cut by cells, one code point a cell, and never able to reorder what stands around them."""

from __future__ import annotations

from unicodedata import bidirectional

from rich.cells import cell_len

from tinydiff_tui.terminal.cells import ISOLATE, RELEASE, Cells

RIGHT_TO_LEFT = {"R", "AL", "AN"}
JOINING = range(0x1F1E6, 0x1F200), range(0x1F3FB, 0x1F400)
"""Letters of flags and tones of skin: terminals draw them into the character before, or not, so that no one knows their width."""


def write(cells: Cells, text: str, x: int, y: int, most: int, ink: int, *, plain: bool = False, centred: bool = False) -> None:
    """Write a text on at most so many cells from column x of row y on; one that is cut ends in … (not on a `plain` terminal).

    A letter of two cells leaves the second to itself (code point 0). Letters that run from right to left are isolated: the cell
    before them is a blank or a mark.
    """
    if not 0 <= y < cells.shape[0]:
        return
    most = min(most, cells.shape[1] - x)
    leftward = any(bidirectional(char) in RIGHT_TO_LEFT for char in text)
    if leftward and x == 0:
        x, most = 1, most - 1
    letters = fitting(text, most, "" if plain else "…")
    width = sum(width for _, width in letters)
    x += (most - width) // 2 if centred else 0
    if leftward and letters:
        cells.chars[y, x - 1] |= ISOLATE
    for char, width in letters:
        cells.chars[y, x : x + width] = 0
        cells.chars[y, x] = ord(char)
        cells.fg[y, x : x + width] = ink
        x += width
    if leftward and letters:
        cells.chars[y, x - letters[-1][1]] |= RELEASE


def fitting(text: str, most: int, sign: str) -> list[tuple[str, int]]:
    """The letters of a text that fit, with their widths. Marks that combine are left out, having no cell of their own; `sign`
    stands for what is cut off."""
    letters = [(char, cell_len(char)) for char in text[: 4 * max(most, 0) + 4] if not any(ord(char) in part for part in JOINING)]
    letters = [letter for letter in letters if letter[1]]
    if sum(width for _, width in letters) <= most:
        return letters
    room, kept = most - len(sign), []
    for letter in letters:
        if letter[1] > room:
            break
        kept.append(letter)
        room -= letter[1]
    return [*kept, (sign, 1)] if sign and most > 1 else kept
