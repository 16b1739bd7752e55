"""Kernels for GPUs: decode over the latent cache, the chosen experts, FP8 products, CUDA graphs.

Their numbers are checked in Triton's interpreter and their code by compiling it; none of it has run
on a GPU yet. `benchmarks/gpu.py` checks and measures it on one.
"""
