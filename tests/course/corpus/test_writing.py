"""One file, separators between documents, a stable split, whole files or none."""

import pytest

from course.corpus import END_OF_TEXT, write
from course.errors import UserError


def test_separators_lie_between_documents(tmp_path):
    (part,) = write(["one", "", "  \n", "two é", "three"], tmp_path / "out.txt")
    text = (tmp_path / "out.txt").read_text(encoding="utf-8")
    assert text == END_OF_TEXT.join(("one", "two é", "three"))
    assert (part.documents, part.n_bytes) == (3, 3 + 6 + 5)


def test_the_separator_inside_a_document_is_escaped(tmp_path):
    write([f"it ends with {END_OF_TEXT}.", "two"], tmp_path / "out.txt")
    text = (tmp_path / "out.txt").read_text()
    assert text.split(END_OF_TEXT) == ["it ends with <endoftext>.", "two"]


def test_half_a_surrogate_pair_is_no_crash(tmp_path):
    write(["a\ud800b"], tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_bytes() == b"a?b"


def test_split_is_stable_and_about_right(tmp_path):
    documents = [f"document {i}" for i in range(4000)]
    train, valid = write(documents, tmp_path / "t", tmp_path / "v", held_out_fraction=0.1)
    assert 320 < valid.documents < 480
    assert train.documents + valid.documents == 4000
    held_out = set((tmp_path / "v").read_text().split(END_OF_TEXT))
    assert not held_out & set((tmp_path / "t").read_text().split(END_OF_TEXT))
    write(documents[::-2], tmp_path / "t", tmp_path / "v", held_out_fraction=0.1)
    assert set((tmp_path / "v").read_text().split(END_OF_TEXT)) == held_out & set(documents[::-2])


def test_equal_documents_stay_together(tmp_path):
    documents = [f"document {i % 50}" for i in range(500)]
    write(documents, tmp_path / "t", tmp_path / "v", held_out_fraction=0.5)
    parts = [set((tmp_path / name).read_text().split(END_OF_TEXT)) for name in "tv"]
    assert not parts[0] & parts[1]


@pytest.mark.parametrize("most", [20, 23, 24])
def test_max_bytes(tmp_path, most):
    seen = []
    (part,) = write(["12345"] * 10, tmp_path / "out", max_bytes=most, progress=seen.append)
    assert (part.documents, part.n_bytes, seen) == (4, 20, [5] * 4)


def interrupted():
    yield "one"
    raise KeyboardInterrupt


def test_an_interrupt_leaves_no_half_file(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write(interrupted(), tmp_path / "out.txt", tmp_path / "valid.txt")
    assert list(tmp_path.iterdir()) == []


def test_no_documents(tmp_path):
    with pytest.raises(UserError, match="no documents"):
        write([" "], tmp_path / "out.txt")
    with pytest.raises(UserError, match=r"valid\.txt"):
        write(["one"], tmp_path / "out.txt", tmp_path / "valid.txt", held_out_fraction=1e-9)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 2])
def test_fraction_out_of_range(tmp_path, fraction):
    with pytest.raises(UserError, match="held_out_fraction"):
        write(["one"], tmp_path / "out", tmp_path / "v", held_out_fraction=fraction)


def test_held_out_into_the_same_file(tmp_path):
    with pytest.raises(UserError, match="itself"):
        write(["one"], tmp_path / "out", tmp_path / "." / "out")
