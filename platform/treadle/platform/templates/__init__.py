"""The gallery: bundled and own templates, their versions and drafts."""
