"""The template language and its interpreter: loading, checking, expressions, compiling, running."""
