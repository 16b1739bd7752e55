"""DeepSeek-V3 in PyTorch behind an OpenAI-compatible server; stands alone."""
