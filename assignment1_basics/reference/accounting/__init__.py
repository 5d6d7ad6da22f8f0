"""Resource accounting: what a Transformer costs in parameters, FLOPs, bytes and time, by part.

`parameters`, `flops` and `throughput` are formulas. `activations` lists what each operation of our
code keeps for the backward pass; `memory` adds it up to the peak of a step. `formats` and
`hardware` are tables of facts, `presets` of known shapes. `course account` prints all of it.
"""
