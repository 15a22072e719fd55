"""Kind G, text that leaves: one channel, controls and turned directions out, nothing else; pasted commands name the real path."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table

from core.errors import UserError, printable
from core.files import shell_word
from tinydiff_tui.commands import output

TABLE = {
    "plain": ("digits 0-9", "digits 0-9"),
    "escape sequence": ("a\x1b[2Jb", "a�[2Jb"),
    "C1 control": ("a\x9b2Jb", "a�2Jb"),
    "delete": ("a\x7fb", "a�b"),
    "line ends": ("a\r\nb\u2028c", "a��b�c"),
    "bidi override": ("gpj\u202egnp", "gpj�gnp"),
    "bidi isolate": ("\u2066x\u2069", "�x�"),
    "half of a character": ("\udcff", "�"),
    "accents": ("Übung é", "Übung é"),
    "Chinese": ("写真", "写真"),
    "no-break and wide space": ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
    "joined emoji": ("👩\u200d🔬", "👩\u200d🔬"),
    "Arabic": ("صور", "صور"),
    "private use": ("\ue0a0", "\ue0a0"),
}
RUN = ["-P", "-m", "tinydiff_tui"]
TINY = [
    "--dataset", "folder:few.npy", "--model", "tiny", "--threads", "1", "--batch-size", "32", "--epochs", "1",
    "--sample-interval", "0", "--save-interval", "0",
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), TABLE.values(), ids=TABLE)
def test_what_a_text_becomes(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printable(text) == said
    assert str(UserError(text)) == said
    output.say(text)
    table = Table("x", box=None)
    table.add_row(f"[/]{' '.join(text.splitlines())}")
    output.show(table)
    line, _, row = capsys.readouterr().out.rstrip("\n").split("\n")
    assert line == said
    assert row.strip() == f"[/]{printable(' '.join(text.splitlines()))}"


@settings(max_examples=200)
@given(text=st.text(st.characters(codec=None), max_size=60), encoding=st.sampled_from(["utf-8", "ascii", "latin-1", "shift_jis"]))
def test_any_text_is_one_line_of_any_encoding(text: str, encoding: str) -> None:
    raw = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        stream = io.TextIOWrapper(raw, encoding=encoding)
        patch.setattr(sys, "stdout", stream)
        output.open_output()
        output.say(text)
        stream.detach()
    assert raw.getvalue().count(b"\n") == 1 and raw.getvalue().endswith(b"\n")
    assert not any(byte < 32 or byte == 127 for byte in raw.getvalue()[:-1])
    if encoding == "utf-8":
        kept = raw.getvalue().decode()[:-1]
        assert len(kept) == len(text)
        assert all(a == b or (b == "�" and printable(a) == "�") for a, b in zip(text, kept, strict=True))


@settings(max_examples=20, deadline=None)
@given(names=st.lists(st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name), min_size=30, max_size=30))
def test_a_pasted_word_is_the_real_path(names: list[bytes]) -> None:
    words = [shell_word(os.fsdecode(name)) for name in names]
    assert all(printable(word) == word for word in words)
    ran = subprocess.run(["bash", "-c", rf"printf '%s\0' {' '.join(words)}"], capture_output=True, check=True)
    got = ran.stdout.split(b"\0")[:-1]
    assert [word.removeprefix(b"./") if name[:1] == b"-" else word for word, name in zip(got, names, strict=True)] == names


def _run(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, *RUN, *arguments], cwd=folder, env=os.environ | environment, capture_output=True, check=False
    )


@pytest.mark.usefixtures("few_pictures")
def test_colour_forced_into_a_log_does_not_animate_it(tmp_path: Path) -> None:
    ran = _run(tmp_path, "train", *TINY, "--budget", "6s", FORCE_COLOR="1", TERM="xterm-256color")
    assert ran.returncode == 0
    assert b"eta " in ran.stdout
    assert not {b"\r", b"\x1b[2K", b"\x1b[?25l"} & {sign for sign in (b"\r", b"\x1b[2K", b"\x1b[?25l") if sign in ran.stdout}
    listed = _run(tmp_path, "runs", FORCE_COLOR="1", TERM="xterm-256color")
    assert b"\x1b[1m" in listed.stdout


@pytest.mark.usefixtures("few_pictures")
def test_a_name_that_the_locale_lacks_ends_nothing(tmp_path: Path) -> None:
    ran = _run(tmp_path, "train", *TINY, "--plain", "--output-dir", "Übung", PYTHONIOENCODING="ascii")
    assert ran.returncode == 0
    assert b"?bung" in ran.stdout
    assert not ran.stderr
    assert (tmp_path / "Übung" / "model_final.pt").exists()


def test_warnings_of_libraries_stay_inside(tmp_path: Path) -> None:
    code = "import logging, warnings; from tinydiff_tui.commands.output import quiet_libraries; quiet_libraries()\n"
    code += "warnings.warn('palette images with transparency'); logging.getLogger('matplotlib').warning('a temporary folder')"
    quiet = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert quiet.stderr == b""
    asked = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, check=True)
    assert b"palette" in asked.stderr  # whoever asks for warnings has them
