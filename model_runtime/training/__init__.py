"""Trains the tiny checkpoint of DeepSeek-V3's architecture; see README.md."""
