"""Byte-level BPE: `naive` is the algorithm of the handout; the other modules are the same, fast.

Read in this order: `naive`, `scanner` (text into pre-tokens), `words` (a file into counted
pre-tokens), `segmentation` and `merging` (counted words into merges; `train` puts them together),
`encode` (text into ids). The inner loops are Python compiled by numba: `compiled` says how, and all
raw memory is reached through `memory`.
"""
