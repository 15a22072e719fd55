"""Kind I, writing: links are followed, devices and pipes written through, modes and the umask left as they are."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.files import atomic_write, is_plain, require_folder, require_space, require_writable, write_failure
from core.images import save_png
from core.runs.folder import holds_file
from tinydiff_tui import cli

NEW = b"new content"


def write(path: Path) -> None:
    with atomic_write(path) as file:
        file.write(NEW)


def left_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "target"
    target.write_bytes(b"old")
    (tmp_path / "second").symlink_to("far/target")
    (tmp_path / "first").symlink_to("second")
    write(tmp_path / "first")
    assert (tmp_path / "first").readlink() == Path("second") and (tmp_path / "second").readlink() == Path("far/target")
    assert target.read_bytes() == NEW and left_in(tmp_path / "far") == ["target"]


def test_a_dangling_link_gets_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("missing/deep/target")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "missing" / "deep" / "target").read_bytes() == NEW


def test_links_in_a_circle_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for ask in (write, require_writable):
        with pytest.raises(UserError, match=r"^cannot write .*a: too many levels of symbolic links; choose another folder$"):
            ask(tmp_path / "a")
    assert left_in(tmp_path) == ["a", "b"]


def test_other_hard_links_keep_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    write(tmp_path / "a")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (NEW, b"old")


@pytest.mark.parametrize("before", [None, 0o600, 0o640, 0o755, 0o444])
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_modes(tmp_path: Path, before: int | None, mask: int) -> None:
    """A new file has what the umask leaves of 0o666; one that was there keeps its own."""
    path = tmp_path / "file"
    if before is not None:
        path.touch()
        path.chmod(before)
    program = f"import os; os.umask({mask}); from core.files import write_json; from pathlib import Path; "
    program += f"write_json(Path({str(path)!r}), 1); print(oct(os.umask(0)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == oct(mask)
    assert stat.S_IMODE(path.stat().st_mode) == (0o666 & ~mask if before is None else before)


def test_the_umask_is_never_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(mask: int) -> int:
        raise AssertionError("another thread would write with this umask now")

    monkeypatch.setattr(os, "umask", touched)
    write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == NEW


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    held = os.open(pipe, os.O_WRONLY)  # so that the reader waits for what is written
    big = bytes(range(256)) * 4096  # more than a pipe holds at once

    def read() -> None:
        with os.fdopen(descriptor, "rb") as file:
            got.append(file.read())

    reader = threading.Thread(target=read)
    require_writable(pipe)
    with atomic_write(pipe) as file:
        file.write(big)
        reader.start()
    os.close(held)
    reader.join(60)
    assert got == [big] and stat.S_ISFIFO(pipe.stat().st_mode) and not is_plain(pipe)


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="nobody reads from the pipe"):
        write(tmp_path / "pipe")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_devices_stay_devices(tmp_path: Path) -> None:
    before = os.stat("/dev/null")  # noqa: PTH116
    (tmp_path / "link").symlink_to("/dev/null")
    for path in (Path("/dev/null"), tmp_path / "link"):
        require_writable(path)
        write(path)
        assert not is_plain(path)
    assert os.stat("/dev/null").st_rdev == before.st_rdev  # noqa: PTH116
    with pytest.raises(UserError, match=r"^cannot write /dev/full: no space left on device; free some space or choose"):
        write(Path("/dev/full"))


def test_a_device_of_ones_own(tmp_path: Path) -> None:
    """As root, in any container, nothing but the program keeps the node from being replaced."""
    try:
        os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this user makes no devices")
    write(tmp_path / "null")
    assert stat.S_ISCHR((tmp_path / "null").stat().st_mode)
    os.mknod(tmp_path / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 200))
    with pytest.raises(UserError, match="is a disk, not a file"):
        write(tmp_path / "disk")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_what_is_written_to_standard_output_arrives_behind_what_was_said(tmp_path: Path, name: str) -> None:
    program = "import os; from pathlib import Path; from core.files import atomic_write\nos.write(1, b'said ')\n"
    program += f"with atomic_write(Path({name!r})) as file: file.write(b'written ')\nos.write(1, b'last')"
    with (tmp_path / "out").open("wb") as output:
        subprocess.run([sys.executable, "-c", program], stdout=output, check=True)
    assert (tmp_path / "out").read_bytes() == b"said written last"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"said written last"


def test_a_descriptor_that_is_not_open_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^cannot write /dev/fd/987: no such file or directory"):
        write(Path("/dev/fd/987"))


def test_a_block_that_fails_writes_nothing_through(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    descriptor = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "pipe") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert os.read(descriptor, 100) == b""
    os.close(descriptor)


UNWRITABLE = {
    "a folder": ("folder", "is a folder; name a file in it"),
    "below a file": ("file/deep/a.png", "not a directory"),
    "below a device": ("/dev/null/a.png", "not a directory"),
    "where nothing can be made": ("/proc/a.png", "no such file or directory"),
    "too long a name": ("n" * 256, "file name too long"),
    "below too long a name": (f"{'n' * 256}/a.png", "file name too long"),
}


@pytest.mark.parametrize("name, why", UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_cannot_be_written_is_known_before(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    before = left_in(tmp_path)
    with pytest.raises(UserError) as probed:
        require_writable(tmp_path / name)
    assert why in str(probed.value) and "\n" not in str(probed.value)
    assert left_in(tmp_path) == before
    with pytest.raises(UserError) as written:
        save_png(tmp_path / name, np.zeros((2, 2, 1), dtype=np.uint8))
    assert str(written.value) == str(probed.value)


def test_what_can_be_written_is_probed_without_a_trace(tmp_path: Path) -> None:
    for name in ("a.png", "deep/er/a.png", "n" * 255):
        require_writable(tmp_path / name)
        require_folder(tmp_path / name)
        require_space(tmp_path / name, 1)
        assert left_in(tmp_path) == []
    write(tmp_path / ("n" * 255))
    assert left_in(tmp_path) == ["n" * 255]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=60))
def test_any_name_of_a_file_is_written(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("names")
    if name in (".", "..") or len(os.fsencode(name)) > 255:
        return
    write(folder / name)
    assert left_in(folder) == [name] and (folder / name).read_bytes() == NEW


def test_only_a_full_disk_asks_for_space() -> None:
    """D16: the advice fits the failure."""
    import errno

    for number in (errno.ENOSPC, errno.EDQUOT):
        assert "free some space" in write_failure(Path("a"), OSError(number, os.strerror(number)))
    for number in (errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ENOLCK):
        assert "space" not in write_failure(Path("a"), OSError(number, os.strerror(number)))


OF_A_RUN = {
    "run.json": True, "metrics.jsonl": True, "model_final.pt": True, "training_loss.png": True, "train.log": True, ".lock": True,
    "checkpoints/last.pt": True, "checkpoints/mine.pt": True, "samples/epoch_001.png": True,
    "generated_samples.png": False, "model_final.safetensors": False, "mine/model_final.pt": False, "run.json.png": False,
}  # fmt: skip


@pytest.mark.parametrize("name, owned", OF_A_RUN.items())
def test_a_run_s_own_files_are_no_place_for_output(
    tmp_path: Path, tiny_run: Path, name: str, owned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert holds_file(tiny_run / name) is owned
    (tmp_path / "link").symlink_to(tiny_run / name)
    assert holds_file(tmp_path / "link") is owned
    if owned:
        before = {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")}
        for command in ("sample", "export", "evaluate"):
            code = cli.run([command, "--checkpoint", str(tiny_run / "model_final.pt"), "--output", str(tmp_path / "link")])
            said = capsys.readouterr().err
            assert code == 2 and said.count("\n") == 1 and "which would be lost; choose another name" in said
        assert cli.run(["visualize", "--dataset", "glyphs", "--save-path", str(tiny_run / name)]) == 2
        assert {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")} == before


def test_a_checkpoint_is_not_exported_over_itself(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "m.safetensors"
    assert cli.run(["export", "--checkpoint", str(tiny_run / "model_final.pt"), "--output", str(copy)]) == 0
    before = copy.read_bytes()
    assert cli.run(["export", "--checkpoint", str(copy)]) == 2
    assert "is the checkpoint itself" in capsys.readouterr().err and copy.read_bytes() == before
