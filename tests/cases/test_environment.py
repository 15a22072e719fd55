"""Kinds F and H, and what a process finds at its start: ignored signals, no home, a folder that is gone, closed descriptors."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import files
from core.data.datasets import describe
from core.errors import UserError
from core.files import require_folder, take_notices, user_folder, user_path
from core.runs.folder import RunDir, read_run
from tests.e2e.terminal import Terminal
from tinydiff_tui.app.settings import load_settings, save_settings
from tinydiff_tui.commands.train import stop_signals
from tinydiff_tui.jobs.signals import heeded

ROOT = str(Path(__file__).parents[2])
TINY = [
    "--dataset", "folder:few.npy", "--model", "tiny", "--batch-size", "32", "--threads", "1", "--precision", "fp32", "--plain",
    "--sample-interval", "0", "--save-interval", "0",
]  # fmt: skip


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "tinydiff_tui", *arguments]


def tinydiff(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": ROOT} | environment
    return subprocess.run(command(*arguments), cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A line of sh in which $TD is the program."""
    env = os.environ | {"PYTHONPATH": ROOT, "TD": " ".join(command())}
    return subprocess.run(["sh", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)


# --- F: signals


@pytest.fixture
def dispositions() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("dispositions")
@pytest.mark.parametrize("ignored", [(), ("SIGHUP",), ("SIGINT",), ("SIGINT", "SIGTERM"), ("SIGHUP", "SIGINT", "SIGTERM")])
def test_a_signal_that_was_ignored_stays_so(ignored: tuple[str, ...]) -> None:
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    for name in names:
        signal.signal(getattr(signal, name), signal.SIG_IGN if name in ignored else signal.default_int_handler)
    assert [number.name for number in heeded(*names, "SIGNOSUCH")] == [name for name in names if name not in ignored]
    with stop_signals() as received:
        for name in names:
            if name in ignored or not received:
                signal.raise_signal(getattr(signal, name))
    assert [signal.Signals(number).name for number in received] == [name for name in names if name not in ignored][:1]
    for name in names:
        assert (signal.getsignal(getattr(signal, name)) is signal.SIG_IGN) is (name in ignored)


@pytest.mark.usefixtures("few_pictures")
@pytest.mark.slow
@pytest.mark.parametrize("ignored, sent", [("HUP", "HUP"), ("INT", "INT"), ("TERM", "TERM"), ("HUP", "TERM")])
def test_a_run_under_nohup_goes_on(tmp_path: Path, ignored: str, sent: str) -> None:
    """As nohup and a shell's & start it; what is not ignored stops it as ever."""
    budget = "3s" if ignored == sent else "1h"
    line = f"trap '' {ignored}; exec {' '.join(command('train', *TINY, '--budget', budget, '--output-dir', 'run'))}"
    env = os.environ | {"PYTHONPATH": ROOT}
    with subprocess.Popen(["sh", "-c", line], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for said in process.stdout:
            if " loss " in said:
                break
        process.send_signal(getattr(signal, f"SIG{sent}"))
        process.stdout.read()
    number = getattr(signal, f"SIG{sent}")
    assert (process.returncode, read_run(tmp_path / "run").status) == (
        (0, "finished") if ignored == sent else (128 + number, "stopped")
    )


@pytest.mark.slow
def test_the_app_ignores_the_hang_up_that_it_was_told_to(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited
    try:
        terminal = Terminal([], tmp_path, 100, 30)
    finally:
        signal.signal(signal.SIGHUP, before)
    with terminal:
        terminal.until(lambda: "Data" in terminal.text)
        os.kill(terminal.process.pid, signal.SIGHUP)
        terminal.send("?")
        terminal.until("Everywhere")  # the list of keys: it still answers
        terminal.send("\x1b")
        terminal.until(lambda: "Everywhere" not in terminal.text)  # escape and q in one packet are another key
        terminal.send("q")
        assert terminal.end() == 0


# --- H: home, cache, working folder

HOMES = {
    "no home": {"HOME": "/dev/null"},
    "a folder that nothing can be made in": {"HOME": "/proc/x"},
    "a name that is too long": {"HOME": f"/{'x' * 300}"},
    "a relative cache": {"XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data", "HOME": "/dev/null"},
    "a file in its place": {"XDG_CACHE_HOME": "/dev/null", "XDG_DATA_HOME": "/dev/null"},
}


@pytest.fixture
def no_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A temporary folder of our own, no notices yet, none of the variables that name folders."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "TINYDIFF_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(files, "_noticed", set())
    take_notices()
    yield
    take_notices()
    files._folder_of_this_process.cache_clear()


@pytest.mark.usefixtures("no_folders")
@pytest.mark.parametrize("variables", HOMES.values(), ids=HOMES)
def test_a_temporary_folder_takes_the_place_of_a_home(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    mine = tmp_path / f"tinydiff-tui-{os.getuid()}"
    assert user_folder("cache") == user_folder("cache") == mine / "cache" and user_folder("data") == mine / "data"
    assert stat.S_IMODE(mine.stat().st_mode) == 0o700
    cache, data = take_notices()
    assert cache.startswith("the cache folder") and cache.endswith(f"; {mine / 'cache'} takes its place") and "data" in data
    user_folder("cache")
    assert take_notices() == []  # once


@pytest.mark.usefixtures("no_folders")
def test_a_user_without_an_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    for kind in ("cache", "config", "data", "log"):
        assert user_folder(kind) == tmp_path / f"tinydiff-tui-{os.getuid()}" / kind
    for typed in ("~", "~/runs"):
        with pytest.raises(UserError, match="below your home folder, and none is known; give the whole path"):
            user_path(typed)
    assert user_path("~nobody-at-all/runs") == Path("~nobody-at-all/runs")
    assert describe("mnist").status == "can be downloaded"


@pytest.mark.usefixtures("no_folders")
@pytest.mark.parametrize("trap", ["a link", "open to others", "a file"])
def test_another_s_folder_is_not_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trap: str) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    mine = tmp_path / f"tinydiff-tui-{os.getuid()}"
    (tmp_path / "theirs").mkdir(mode=0o700)
    if trap == "a link":
        mine.symlink_to("theirs")
    elif trap == "a file":
        mine.touch()
    else:
        mine.mkdir()
        mine.chmod(0o777)
    found = user_folder("cache")
    assert found == user_folder("cache") and found.parent.parent == tmp_path
    assert found.parent != mine and stat.S_IMODE(found.parent.stat().st_mode) == 0o700


@pytest.mark.usefixtures("no_folders")
def test_not_even_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr("tempfile.tempdir", "/proc/nothing")
    assert not user_folder("cache").exists()
    save_settings(theme="textual-light")
    assert load_settings().theme == "tinydiff-dark"
    with pytest.raises(UserError, match="cannot be written"):
        require_folder(user_folder("data"))


def test_a_folder_of_data_that_may_only_be_read_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "tinydiff-tui").mkdir(mode=0o500)
    assert user_folder("data") == tmp_path / "tinydiff-tui"


@pytest.mark.usefixtures("few_pictures")
@pytest.mark.slow
def test_commands_without_a_home_say_one_line(tmp_path: Path) -> None:
    """As in a container: docker --user, HOME=/dev/null. Case 25."""
    program = "import pwd, sys\ndef unknown(*_): raise KeyError('uid not found')\npwd.getpwuid = unknown\n"
    program += "sys.argv[0:1] = []\nfrom tinydiff_tui.__main__ import main\nsys.exit(main())"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "TINYDIFF_")) and name != "HOME"}
    env |= {"PYTHONPATH": ROOT, "USER": "x", "TMPDIR": str(tmp_path)}
    for arguments in (["datasets"], ["train", *TINY, "--budget", "1s", "--output-dir", "run"]):
        line = [sys.executable, "-P", "-c", program, "tinydiff-tui", *arguments]
        result = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert result.returncode == 0 and "Traceback" not in result.stderr, result
        if arguments == ["datasets"]:
            assert result.stderr.count("\n") == 1 and "no home folder is known" in result.stderr


@pytest.mark.parametrize(
    "arguments", [["datasets"], ["runs"], ["train"], ["visualize"], ["export", "--checkpoint", "/x.pt"], ["attach"]]
)
def test_a_working_folder_that_was_deleted_is_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    result = shell(f"mkdir gone; cd gone; rmdir ../gone; exec $TD {' '.join(arguments)}", tmp_path)
    assert result.returncode == 2, result
    said = [line for line in result.stderr.splitlines() if "getcwd" not in line]  # the shell's own
    assert said == ["tinydiff-tui: the folder that you are in is gone; change to another with cd"]


def test_the_app_in_a_working_folder_that_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    from tinydiff_tui.app.app import TinydiffApp

    with pytest.raises(UserError, match="is gone"):
        TinydiffApp()


# --- D16: what cannot be read is no empty folder


def test_runs_of_a_folder_that_may_not_be_read() -> None:
    place = Path(tempfile.mkdtemp())  # pytest's own are closed to other users
    place.chmod(0o755)
    closed = place / "closed"
    closed.mkdir(mode=0o000)
    # What is imported later is imported before: the interpreter's own folder may be closed to another user.
    program = (
        "import locale, logging, os, sys, rich.console, rich.table, platformdirs\n"
        "import core.compute.distributed, tinydiff_tui.commands.runs\n"
        "from tinydiff_tui.cli import run\n"
        "os.getuid() or os.setuid(65534)\n"
        "sys.exit(run(['runs', sys.argv[1]]))"
    )
    env = os.environ | {"PYTHONPATH": ROOT}
    line = [sys.executable, "-P", "-c", program, str(closed)]
    result = subprocess.run(line, cwd="/", env=env, capture_output=True, text=True)
    shutil.rmtree(place)
    assert result.returncode == 2 and "no runs" not in result.stdout, result
    assert f"{closed} cannot be read: permission denied; check its permissions" in result.stderr
    assert result.stderr.count("\n") == 1


# --- D10: two detached runs on one folder


@pytest.mark.usefixtures("few_pictures")
@pytest.mark.slow
def test_of_two_detached_runs_on_one_folder_one_says_so(tmp_path: Path) -> None:
    line = command("train", *TINY, "--epochs", "100000", "--detach", "--output-dir", "run")
    env = os.environ | {"PYTHONPATH": ROOT}
    both = [subprocess.Popen(line, cwd=tmp_path, env=env, stdout=-1, stderr=-1, text=True) for _ in range(2)]
    said = [process.communicate() for process in both]
    run = RunDir(tmp_path / "run")
    try:
        codes = [process.returncode for process in both]
        assert sorted(codes) == [0, 2], said
        won, lost = said[codes.index(0)], said[codes.index(2)]
        assert "training in process" in won[0] and "another process is training in run" in lost[1]
        assert lost[1].count("\n") == 1 and not lost[0]
        assert " loss " in (run.path / "train.log").read_text() or run.is_live()
        assert [p.name for p in run.path.glob("*.log")] == ["train.log"]
    finally:
        run.ask("stop")
        while run.is_live():
            run.ask("stop")
            time.sleep(0.02)


# --- D13: descriptors that are closed


@pytest.mark.usefixtures("few_pictures")
@pytest.mark.parametrize(
    "closing, line, code",
    [
        ("<&- >&- 2>&-", "runs .", 0),
        (">&-", "datasets", 0),
        (">&-", "train --fly", 2),
        ("2>&-", "train --fly", 2),
        ("<&- >&- 2>&-", "", 2),
        pytest.param(">&-", f"train {' '.join(TINY)} --epochs 1 --detach", 0, marks=pytest.mark.slow),
        pytest.param("<&- >&- 2>&-", f"train {' '.join(TINY)} --epochs 1 --detach", 0, marks=pytest.mark.slow),
        pytest.param("<&- >&- 2>&-", f"train {' '.join(TINY)} --epochs 1", 0, marks=pytest.mark.slow),
    ],
)
def test_closed_descriptors(tmp_path: Path, closing: str, line: str, code: int) -> None:
    result = shell(f"$TD {line} {closing}", tmp_path)
    assert result.returncode == code and "Traceback" not in result.stderr, result
    if "--epochs" in line:
        run = RunDir(tmp_path / "outputs")
        while "--detach" in line and run.is_live():
            time.sleep(0.02)
        assert read_run(run.path).status == "finished"


def test_what_is_written_does_not_land_where_a_closed_stream_was(tmp_path: Path) -> None:
    """The first file that is opened would be number 1."""
    program = (
        "from tinydiff_tui.__main__ import open_standard; open_standard(); file = open('a', 'w'); print('said'); file.write('x')"
    )
    line = f'{sys.executable} -P -c "{program}" <&- >&- 2>&-'
    assert shell(line, tmp_path).returncode == 0
    assert (tmp_path / "a").read_text() == "x"
