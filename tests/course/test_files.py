import os
import signal
import subprocess
import sys
import time

import pytest

from course.errors import UserError
from course.files import atomic_write, existing_file, require_writable


@pytest.mark.parametrize(("mode", "content"), [("wb", b"\x00new\n"), ("w", "ünew\n")])
def test_a_file_appears_whole_with_its_folder(tmp_path, mode, content):
    path = tmp_path / "a" / "b.txt"
    with atomic_write(path, mode) as file:
        file.write(content)
        assert not path.exists()
    assert path.read_bytes() == (content if mode == "wb" else content.encode())
    assert [p.name for p in path.parent.iterdir()] == ["b.txt"]


def test_a_power_cut_finds_the_old_file_or_the_new_one(tmp_path, monkeypatch):
    """The content is on the disk before the name points to it, and then the name."""
    events = []
    fsync, rename = os.fsync, os.replace

    def note_fsync(descriptor):
        fsync(descriptor)
        events.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}"), path.exists()))
        if not path.exists():
            events.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), rename(a, b)))
    path = tmp_path / "a"
    with atomic_write(path) as file:
        file.write(b"new")
    (_, temporary, _), *rest = events
    assert os.path.dirname(temporary) == str(tmp_path)
    assert rest == [3, "rename", ("fsync", str(tmp_path), True)]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write_half():
        with atomic_write(path) as file:
            file.write(b"half of the n")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


WRITE_FOR_EVER = """
import sys
from course.files import atomic_write
for n in range(10**9):
    with atomic_write(sys.argv[1]) as file:
        for _ in range(8):
            file.write(bytes([n % 256]) * 1000)
"""


def test_killed_at_any_moment_the_file_is_whole(tmp_path):
    path = tmp_path / "a"
    process = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(path)])
    try:
        deadline = time.monotonic() + 60
        seen = set()
        while len(seen) < 20 and time.monotonic() < deadline:
            if path.exists():
                content = path.read_bytes()
                assert len(content) == 8000
                assert len(set(content)) == 1
                seen.add(content[0])
        assert len(seen) == 20
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert len(set(path.read_bytes())) == 1


def test_existing_file(tmp_path):
    file = tmp_path / "a"
    file.touch()
    assert existing_file(str(file), "corpus") == file
    with pytest.raises(UserError, match=r"corpus '.*' is a folder; a file is needed"):
        existing_file(tmp_path, "corpus")
    with pytest.raises(UserError, match=r"corpus '.*b' does not exist"):
        existing_file(tmp_path / "b", "corpus")
    with pytest.raises(UserError, match="'/dev/null' is a device or a pipe; a file is needed"):
        existing_file("/dev/null", "corpus")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(tmp_path):
    file = tmp_path / "a"
    file.touch(mode=0o000)
    with pytest.raises(UserError, match="permission denied"):
        existing_file(file, "corpus")


def test_a_wrong_path_is_said_at_once(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    for path, reason in ((tmp_path, "is a folder"), (file / "below", "cannot be written")):
        with pytest.raises(UserError, match=reason), atomic_write(path):
            pytest.fail("a file was opened")
        with pytest.raises(UserError, match=reason):
            require_writable(path)
    assert require_writable(file) == file
    assert require_writable(tmp_path / "new" / "b") == tmp_path / "new" / "b"
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["file"]
    assert file.read_text() == "old"


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_full_disk_leaves_the_old_file(tmp_path, mode, full_disk):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write_much():
        with atomic_write(path, mode) as file:
            file.write((b"x" if mode == "wb" else "x") * 2000)

    match = r"cannot be written: .*; the old file is as it was"
    with full_disk(), pytest.raises(UserError, match=match):
        write_much()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_device_is_not_replaced(tmp_path):
    """Root could: after `--output /dev/null` there would be a text in its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match="is a device or a pipe"), atomic_write(pipe):
        pytest.fail("a file was opened")
    with pytest.raises(UserError, match="is a device or a pipe"):
        require_writable(pipe)
    assert pipe.is_fifo()


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "large-disk").mkdir()
    target, link = tmp_path / "large-disk" / "a", tmp_path / "a"
    target.write_text("old")
    link.symlink_to(target)
    with atomic_write(link, "w") as file:
        file.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"


def test_other_errors_of_the_block_pass_through(tmp_path):
    with pytest.raises(ConnectionError), atomic_write(tmp_path / "a"):
        raise ConnectionError("the source has gone")
    assert list(tmp_path.iterdir()) == []
