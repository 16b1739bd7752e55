"""flashinfer-ai/flashinfer, as far as MLA goes."""
