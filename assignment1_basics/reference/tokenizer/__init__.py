"""Byte-level BPE: `naive` is the algorithm of the handout; the other modules are the same, fast.

Read in this order: `naive`, `scanner` (text into pre-tokens), `words` (a file into counted
pre-tokens), `train` (counted words into merges), `encode` (text into ids). The inner loops are
Python compiled by numba; `compiled` says how, `memory` is the only place that touches raw memory.
"""
