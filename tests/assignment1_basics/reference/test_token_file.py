"""Token files: what is written is what is read, and nothing half-written or foreign is read."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assignment1_basics.reference.tokenizer.chunks import chunks
from assignment1_basics.reference.tokenizer.encode_file import encode_file
from assignment1_basics.reference.tokenizer.special_tokens import SpecialTokens
from assignment1_basics.reference.tokenizer.token_file import (
    open_token_file,
    token_dtype,
    write_token_file,
    writing_token_file,
)
from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
from course.errors import UserError
from tests.assignment1_basics.reference.tokenizer_samples import (
    ENGLISH,
    EOT,
    texts,
    tokenizer,
    trained,
)

HASH = "0123456789abcdef"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "corpus.tok"


@pytest.mark.parametrize(
    ("vocab_size", "dtype"),
    [(256, np.uint16), (65_536, np.uint16), (65_537, np.uint32), (200_000, np.uint32)],
)
def test_round_trip(path, vocab_size, dtype):
    ids = [0, 1, vocab_size - 1, 7]
    write_token_file(path, ids, vocab_size=vocab_size, tokenizer_hash=HASH, source_bytes=11)
    file = open_token_file(path, HASH)
    assert isinstance(file.tokens, np.memmap)
    assert file.tokens.dtype == dtype == token_dtype(vocab_size)
    assert file.tokens.tolist() == ids
    assert (file.vocab_size, file.tokenizer_hash, file.source_bytes) == (vocab_size, HASH, 11)
    assert path.stat().st_size == 4 * file.tokens.itemsize  # ids and nothing else, as nanoGPT's
    assert np.fromfile(path, file.tokens.dtype).tolist() == ids


def test_no_tokens(path):
    write_token_file(path, [], vocab_size=300, tokenizer_hash=HASH)
    assert open_token_file(path).tokens.tolist() == []


@pytest.mark.parametrize("ids", [[-1], [300], [[1]], [0.5]])
def test_what_is_no_id_is_not_written(path, ids):
    with pytest.raises(ValueError, match="ids"):
        write_token_file(path, ids, vocab_size=300, tokenizer_hash=HASH)
    assert list(path.parent.iterdir()) == []


def written(path, ids=(1, 2, 3)):
    write_token_file(path, np.array(ids), vocab_size=300, tokenizer_hash=HASH)
    return path.with_name(path.name + ".json")


def test_another_tokenizers_file(path):
    written(path)
    with pytest.raises(UserError, match=f"was written with tokenizer {HASH}, not with ffff"):
        open_token_file(path, "ffff")


def test_missing(path):
    with pytest.raises(UserError, match="does not exist"):
        open_token_file(path)
    written(path).unlink()
    with pytest.raises(UserError, match="has no sidecar"):
        open_token_file(path)


@pytest.mark.parametrize("size", range(6))
def test_truncated(path, size):
    written(path)
    os.truncate(path, size)
    with pytest.raises(UserError, match=f"has {size} bytes; its sidecar says 6: it was truncated"):
        open_token_file(path)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "float32"},
        {"dtype": "uint64"},
        {"dtype": 3},
        {"count": "3"},
        {"vocab_size": None},
        {"tokenizer_hash": 5},
        {"source_bytes": "many"},
        {"surplus": 1},
    ],
)
def test_damaged_sidecar(path, change):
    sidecar = written(path)
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | change))
    with pytest.raises(UserError, match="is damaged"):
        open_token_file(path)


def test_sidecar_truncated_anywhere(path):
    sidecar = written(path)
    text = sidecar.read_bytes()
    for size in range(len(text.rstrip())):
        sidecar.write_bytes(text[:size])
        with pytest.raises(UserError, match="is damaged"):
            open_token_file(path)
    sidecar.write_text("[]")
    with pytest.raises(UserError, match="is damaged"):
        open_token_file(path)


def test_a_kill_between_the_two_files_leaves_no_old_sidecar_beside_a_new_file(path, monkeypatch):
    """Of the same length, the new ids would pass for those of the old tokenizer."""
    sidecar, rename = written(path), os.replace
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(
            os, "replace", lambda a, b: os._exit(9) if Path(b) == sidecar else rename(a, b)
        )
        write_token_file(path, [7, 8, 9], vocab_size=300, tokenizer_hash="another")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert np.fromfile(path, "<u2").tolist() == [7, 8, 9]
    with pytest.raises(UserError, match="has no sidecar"):
        open_token_file(path)


def test_an_error_leaves_the_old_file(path):
    written(path)

    def interrupted():
        with writing_token_file(path, vocab_size=300, tokenizer_hash="new") as writer:
            writer.append([5] * 100_000)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert open_token_file(path, HASH).tokens.tolist() == [1, 2, 3]
    assert len(list(path.parent.iterdir())) == 2


# ---------------------------------------------------------------------------------------------
# encode_file


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pieces=st.lists(texts, min_size=1, max_size=12),
    chunk_size=st.integers(1, 300),
    threads=st.integers(1, 3),
)
def test_the_file_holds_the_ids_of_the_text(path, pieces, chunk_size, threads):
    text = EOT.join(pieces) + "."
    source = path.with_suffix(".txt")
    source.write_bytes(text.encode())
    encoded = encode_file(tokenizer(), source, path, threads=threads, chunk_size=chunk_size)
    file = open_token_file(path, tokenizer().hash)
    assert file.tokens.tolist() == tokenizer().encode(text)
    assert file.source_bytes == encoded.num_bytes == len(text.encode())
    assert encoded.num_special == {EOT: text.count(EOT)}


@given(
    text=st.text(st.sampled_from("ab \n\u2003é<"), max_size=60),
    special=st.sets(st.text(st.sampled_from("ab \n<"), min_size=1, max_size=4), max_size=3),
    size=st.integers(1, 20),
)
@settings(max_examples=300)
def test_chunks_cut_nothing_in_two(text, special, size):
    """Special tokens with white space in them, white space that is not ASCII before a cut."""
    ours = Tokenizer(*trained(), sorted(special))
    data = text.encode()
    parts = list(chunks(data, SpecialTokens(ours.special_tokens), size))
    assert b"".join(data[start:end] for start, end in parts) == data
    ids = [token for start, end in parts for token in ours.encode(data[start:end].decode())]
    assert ids == ours.encode(text)


def test_chunks_are_about_as_long_as_asked():
    data = ENGLISH.encode()
    lengths = [end - start for start, end in chunks(data, SpecialTokens({EOT: 0}), 5_000)]
    assert max(lengths[:-1]) < 5_200
    assert min(lengths[:-1]) >= 5_000


def test_missing_and_empty_texts(tmp_path, path):
    with pytest.raises(UserError, match="does not exist"):
        tokenizer().encode_file(tmp_path / "missing.txt", path)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(UserError, match=r"'.*empty.txt' is empty"):
        tokenizer().encode_file(tmp_path / "empty.txt", path)
    assert not path.exists()


def test_not_utf8_is_refused_with_the_offset_or_replaced(tmp_path, path):
    good = ENGLISH[:50_000].encode()
    data = good + b"one \xff two\xe6\x97 three\xed\xa0\x80" + "\ufffd".encode() + good
    source = tmp_path / "latin.txt"
    source.write_bytes(data)
    with pytest.raises(UserError, match=f"is not UTF-8: byte 0xff at offset {len(good) + 4:,}"):
        encode_file(tokenizer(), source, path, threads=2, chunk_size=1000)
    assert list(tmp_path.iterdir()) == [source]
    encoded = encode_file(
        tokenizer(), source, path, threads=2, chunk_size=1000, replace_bad_bytes=True
    )
    tokens = open_token_file(path).tokens
    assert tokens.tolist() == tokenizer().encode(data.decode(errors="replace"))
    assert encoded.num_replaced == data.decode(errors="replace").count("\ufffd") - 1
    assert (encoded.num_tokens, encoded.num_bytes) == (len(tokens), len(data))


def test_progress_adds_up(tmp_path, path):
    (tmp_path / "text.txt").write_text(ENGLISH)
    done: list[int] = []
    encode_file(tokenizer(), tmp_path / "text.txt", path, progress=done.append, chunk_size=10_000)
    assert sum(done) == len(ENGLISH.encode())
    assert len(done) > 20


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path):
    """64 MB on one line, with chunks of 1 MB."""
    tokenizer().save(tmp_path)
    source = tmp_path / "text.txt"
    with open(source, "wb") as file:
        for _ in range(64):
            file.write(b"the same words once more " * 40_000)
    code = f"""
        import re
        from pathlib import Path
        from assignment1_basics.reference.tokenizer.encode_file import encode_file
        from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
        def peak():
            return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
        tokenizer = Tokenizer.load({str(tmp_path)!r})
        tokenizer.encode_array("word " * 1_000_000, threads=2)
        before = peak()
        encode_file(tokenizer, {str(source)!r}, "text.tok", threads=2, chunk_size=1 << 20)
        print(peak() - before)
    """
    out, _ = in_a_process(code, cwd=tmp_path, env=with_path()).communicate(timeout=120)
    assert int(out) < 32 * 1024  # KiB: a few chunks for each thread, 2 MB of ids for each
    assert len(open_token_file(tmp_path / "text.tok").tokens) > 10_000_000


def with_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def in_a_process(code: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


ENDLESS = """
    import sys
    from assignment1_basics.reference.tokenizer.encode_file import encode_file
    from assignment1_basics.reference.tokenizer.tokenizer import Tokenizer
    tokenizer = Tokenizer.load({folder!r})
    print("ready", flush=True)
    for _ in range(10_000):
        encode_file(tokenizer, {source!r}, {path!r}, threads=2, chunk_size=20_000)
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("delay", [0.05, 0.13])
def test_interrupted_or_killed_at_any_moment(tmp_path, path, kind, delay):
    tokenizer().save(tmp_path)
    source = tmp_path / "text.txt"
    source.write_text(ENGLISH[:300_000])
    code = ENDLESS.format(folder=str(tmp_path), source=str(source), path=str(path))
    process = in_a_process(code)
    assert process.stdout.readline() == "ready\n"
    threading.Event().wait(delay)
    process.send_signal(kind)
    process.communicate(timeout=60)
    if path.exists() and path.with_name("corpus.tok.json").exists():
        tokens = open_token_file(path, tokenizer().hash).tokens
        assert tokens.tolist() == tokenizer().encode(ENGLISH[:300_000])
    else:  # killed before the first one was done, or between a file and its sidecar
        with pytest.raises(UserError, match=r"does not exist|has no sidecar"):
            open_token_file(path)
    if kind == signal.SIGINT:
        assert not list(tmp_path.glob(".*.tmp"))


def test_a_full_disk_leaves_nothing(tmp_path, path):
    """A limit on the size of files stands in for the disk: writing fails in the same way."""
    tokenizer().save(tmp_path)
    source = tmp_path / "text.txt"
    source.write_text(ENGLISH[:300_000])
    code = ENDLESS.format(folder=str(tmp_path), source=str(source), path=str(path))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    _, error = in_a_process(code, preexec_fn=limit).communicate(timeout=60)
    assert "File too large" in error
    assert {file.name for file in tmp_path.iterdir()} == {"tokenizer.json", "text.txt"}
