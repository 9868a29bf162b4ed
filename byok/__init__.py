"""BYOK: a gateway in front of your own vendor keys that records metadata only, and the dashboard over it."""

__version__ = "0.1.0"
