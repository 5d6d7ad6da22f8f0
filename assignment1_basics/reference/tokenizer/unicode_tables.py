r"""Which characters are letters, numbers and white space, in a form that compiled code can use.

The classes are those of \p{L}, \p{N} and \s in the `regex` module, asked once per process (0.2 s)
for every code point, so that the scanner and `regex` always agree on the version of Unicode.
"""

import functools
import sys
import threading

import numpy as np

OTHER, LETTER, NUMBER, SPACE = 0, 1, 2, 3
MULTIBYTE = 4  # of a byte: the first of a longer character, or no character at all
INVALID = 5  # of a byte sequence: not UTF-8

BYTES = 256
"""Index in the table at which code point 0 stands, after the classes of the 256 bytes."""


def character_classes() -> np.ndarray:
    """Return uint8[256 + 0x110000]: the class of each byte, then the class of each code point.

    It is the same array each time, so its address stays valid.
    """
    with _lock:  # a cache alone may compute it twice, and let go of one of the two
        return _character_classes()


_lock = threading.Lock()


@functools.cache
def _character_classes() -> np.ndarray:
    import regex

    table = np.full(BYTES + sys.maxunicode + 1, OTHER, dtype=np.uint8)
    surrogates = range(0xD800, 0xE000)
    code_points = np.arange(sys.maxunicode + 1, dtype="<u4")
    code_points[surrogates.start : surrogates.stop] = ord("-")  # no characters; any OTHER will do
    text = code_points.tobytes().decode("utf-32-le")
    for kind, pattern in ((LETTER, r"\p{L}+"), (NUMBER, r"\p{N}+"), (SPACE, r"\s+")):
        for match in regex.finditer(pattern, text):
            table[BYTES + match.start() : BYTES + match.end()] = kind
    table[:128] = table[BYTES : BYTES + 128]
    table[128:BYTES] = MULTIBYTE
    table.flags.writeable = False
    return table
