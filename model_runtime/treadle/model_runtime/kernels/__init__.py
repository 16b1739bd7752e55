"""Fused kernels in place of the plain models: the CPU's is C++, built when a compiler is there."""
