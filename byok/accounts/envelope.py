"""Encryption of small secrets: a random data key per record seals the text, a key derived from the master key wraps the data key.

Both steps are AES-256-GCM and bind the record's own identity, so that a row copied to another user, id or vendor does not open.
"""

import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from byok.accounts.master_key import Purpose, kek_id, subkey

VERSION = 1
_NONCE_BYTES = 12
_KEY_BYTES = 32


class EnvelopeBroken(Exception):
    """The record was changed, moved, or sealed under another key; which of these is not told."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is stored. `kek_id` names the master key, so that a rotation can find what is still to be wrapped anew."""

    version: int
    kek_id: str
    wrapped_key: bytes = field(repr=False)
    sealed_secret: bytes = field(repr=False)


def seal(master: bytes, purpose: Purpose, identity: tuple[str, ...], secret: str) -> Envelope:
    """Seal `secret` for the record that `identity` names (owner, id, kind); `purpose` picks the wrapping key."""
    data_key = secrets.token_bytes(_KEY_BYTES)
    bound = _bound(VERSION, identity)
    name = kek_id(master)
    wrapped = _encrypt(subkey(master, purpose), data_key, bound + b"|" + name.encode())
    return Envelope(VERSION, name, wrapped, _encrypt(data_key, secret.encode(), bound))


def unseal(master: bytes, purpose: Purpose, identity: tuple[str, ...], envelope: Envelope) -> str:
    """Return the secret. Raises `EnvelopeBroken` unless master key, purpose, identity and every stored byte are the same."""
    bound = _bound(envelope.version, identity)
    try:
        if envelope.version != VERSION:
            raise EnvelopeBroken
        data_key = _decrypt(subkey(master, purpose), envelope.wrapped_key, bound + b"|" + envelope.kek_id.encode())
        return _decrypt(data_key, envelope.sealed_secret, bound).decode()
    except (InvalidTag, ValueError):
        raise EnvelopeBroken from None


def rewrap(before: bytes, after: bytes, purpose: Purpose, identity: tuple[str, ...], envelope: Envelope) -> Envelope:
    """Return the same secret under another master key: only its data key is wrapped anew. Raises `EnvelopeBroken` as `unseal` does."""
    unseal(before, purpose, identity, envelope)  # what does not open now must not be passed on as if it were well
    bound = _bound(envelope.version, identity)
    data_key = _decrypt(subkey(before, purpose), envelope.wrapped_key, bound + b"|" + envelope.kek_id.encode())
    name = kek_id(after)
    wrapped = _encrypt(subkey(after, purpose), data_key, bound + b"|" + name.encode())
    return Envelope(envelope.version, name, wrapped, envelope.sealed_secret)


def _bound(version: int, identity: tuple[str, ...]) -> bytes:
    if any("|" in part for part in identity):
        raise ValueError("an identity holds no |")
    return "|".join((str(version), *identity)).encode()


def _encrypt(key: bytes, text: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text, bound)


def _decrypt(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
