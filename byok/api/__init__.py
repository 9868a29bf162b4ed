"""The API: GET /usage and the rest, for scripts and programs. Bearer tokens only, never the session cookie."""

from byok.api.app import create_api

__all__ = ["create_api"]
