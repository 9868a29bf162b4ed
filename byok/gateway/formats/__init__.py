"""Wire formats: one file each, pure functions over bytes, the reference on top. No input or output happens here."""

from byok.gateway.formats.shape import Format

__all__ = ["Format"]
