"""Byte-level BPE: `naive` is the algorithm of the handout; the other modules are the same, fast.

Training: `naive`, `scanner` and `block_scanner` (text into pre-tokens), `words` (a file into
counted pre-tokens), `segmentation` and `merging` (counted words into merges; `train` puts them
together).

Encoding: `plain` (text into ids, in Python), `encode` (the same, compiled), with `word_cache` (ids
of words seen before) and `encode_word` (those of new ones); `stream` (text that arrives in pieces),
`special_tokens`; `tokenizer` puts them together. `encode_file` and `token_file` are for corpora,
`export` for other libraries.

The inner loops are Python compiled by numba: `compiled` says how, and all raw memory is reached
through `memory`.
"""
