"""Sentences as the app says them, numbers that fit on a line, and what never reaches it."""

import math

import pytest
from rich.segment import Segment
from textual.color import Color

from tinydiff_tui.terminal.gate import Gate
from tinydiff_tui.text import ago, duration, for_app, number, short_count


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("--batch-size must be at least 1, got 0", "batch size must be at least 1, got 0"),
        ("--lr takes a float, got 'x'", "lr takes a float, got 'x'"),
        ("use a smaller --num-images", "use a smaller images"),
        ("so --class and --guidance-scale do not apply", "so class and guidance do not apply"),
        (
            "/a--b/--c holds a run; continue it with --resume, replace it with --overwrite, or choose another --output-dir",
            "/a--b/--c holds a run; continue it with Resume, replace it with Overwrite, or choose another output dir",
        ),
        ("no x.pt; train one with 'tinydiff-tui train', or check the name", "no x.pt; train one in Train (3), or check the name"),
        (
            "mnist is not in /d; run 'tinydiff-tui datasets --download mnist', or use --dataset glyphs",
            "mnist is not in /d; press D on mnist in Data (1), or use dataset glyphs",
        ),
        ("give one that 'tinydiff-tui train' wrote", "give one that Train (3) wrote"),
        ("a name\x1b[31m with [/] in it", "a name�[31m with [/] in it"),
    ],
)  # fmt: skip
def test_the_app_names_keys_and_fields(sentence: str, said: str) -> None:
    assert for_app(sentence) == said


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-300, 1e300, 1.7e308, -1.7e308, 2.0**53, math.inf, -math.inf, math.nan])
def test_every_number_fits(value: float) -> None:
    for text in (duration(value), ago(value), number(value)):
        assert 0 < len(text) <= 16, text
    if math.isfinite(value):
        assert len(short_count(value)) <= 12


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("plain ▀ é 🙂", "plain ▀ é 🙂"),
        ("a\x1b]0;owned\x07b", "a]0;ownedb"),
        ("a\x1b[6nb\x7f\x9b31mc\x00", "a[6nb31mc"),
        ("\u202edne\u202c \u2066x\u2069", "dne x"),
        ("two\r\nlines\t", "twolines"),
    ],
)
def test_the_gate_lets_no_control_character_through(text: str, drawn: str) -> None:
    (segment,) = Gate().apply([Segment(text)], Color(0, 0, 0))
    assert segment.text == drawn


def test_no_character_that_could_be_a_command_passes_the_gate() -> None:
    everything = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)]))
    (segment,) = Gate().apply([Segment(f"a{everything}b")], Color(0, 0, 0))
    assert segment.text == "ab"
