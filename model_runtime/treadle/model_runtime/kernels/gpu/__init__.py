"""Triton kernels for decode: attention over the latent cache, and the chosen experts.

Their numbers are checked in Triton's interpreter; their speed on a GPU has not been measured yet.
"""
