"""What is kept of docstrings and documents, and what is dropped."""

import pytest

from course.corpus.english import is_prose, paragraphs

NUMPY_DOCSTRING = """Return the sum of the elements over the given axis of the array.

    Parameters
    ----------
    axis : int, optional
        The axis along which the sum is taken. By default all of the elements
        are summed, as if the array had only one dimension.

    Examples
    --------
    >>> np.sum([0.5, 1.5])
    2.0

    See the user guide for the details of how the elements are added up,
    and what that means for the error of the result.
"""


def test_numpy_docstring():
    assert list(paragraphs(NUMPY_DOCSTRING)) == [
        "Return the sum of the elements over the given axis of the array.",
        "The axis along which the sum is taken. By default all of the elements are summed, as if "
        "the array had only one dimension.",
        "See the user guide for the details of how the elements are added up, and what that means "
        "for the error of the result.",
    ]


def test_definitions_keep_their_hanging_lines():
    text = "input (Tensor): the tensor of which the mean\n    is taken over all of its elements\n"
    assert list(paragraphs(text)) == [
        "input (Tensor): the tensor of which the mean is taken over all of its elements"
    ]


def test_markup_goes():
    text = (
        "See :class:`~torch.nn.Linear` and `the guide <https://x.org/a>`_ [1]_ for what "
        "``weight`` is in **every** [layer](http://y.org) of the model."
    )
    assert list(paragraphs(text)) == [
        "See `torch.nn.Linear` and the guide for what `weight` is in every layer of the model."
    ]


def test_fenced_code_goes():
    kept = "This is how one of the models is used in a program:"
    assert list(paragraphs(f"{kept}\n\n```\nnot\n\nkept at all\n```\n")) == [kept]


@pytest.mark.parametrize(
    "text",
    [
        "for i in range(10): total += values[i] * weights[i] if mask[i] else 0",
        "dGhpcyBpcyBub3QgcHJvc2UsIGl0IGlzIGJhc2U2NCBhbmQgbm90IGZvciB1cw== YWJj ZGVm Z2hp amts bW5v",
        "int32 int64 float32 float64 complex64 complex128 bool uint8 uint16 uint32",
        "Der Tensor wird entlang der ersten Achse in gleich große Stücke zerlegt und zurückgegeben",
        "+------+------+ | name | size | +------+------+ | a | 1 | | b | 2 | | c | 3 |",
        "too short to say",
        "",
    ],
)
def test_not_prose(text):
    assert not is_prose(text)
    assert list(paragraphs(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over the lazy dog while it is asleep in the sun.",
        "If `axis` is None, the array is flattened before the values are sorted.",
        "- a list item, which says that the file was not found in any of the folders",
    ],
)
def test_prose(text):
    assert is_prose(text)
    assert list(paragraphs(text)) == [text]
