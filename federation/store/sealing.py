"""Encryption of what is secret in the store: AES-256-GCM with one key or several, of which the first encrypts."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from federation.errors import FederationError, InvalidInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


@dataclass(frozen=True)
class Keyring:
    """Keys of 32 bytes: the first encrypts, all decrypt. `source` says to people where they are from.

    Raises: InvalidInput when there is no key, or one of another length. No key is ever shown."""

    keys: Sequence[bytes] = field(repr=False)
    source: str = "the keys"

    def __post_init__(self) -> None:
        if not self.keys or any(len(key) != KEY_BYTES for key in self.keys):
            raise InvalidInput(
                f"holds no usable key: each is {KEY_BYTES} random bytes in base64, one to a line", file=self.source
            )

    @property
    def ids(self) -> tuple[str, ...]:
        """What the keys are called in the store: 16 hexadecimal digits that tell nothing about a key."""
        return tuple(hashlib.blake2b(key, digest_size=8, person=b"roam-key-id").hexdigest() for key in self.keys)

    def seal(self, text: str, about: str) -> tuple[str, str]:
        """`text` as base64 that only the first key opens, with the same `about`; and that key's id.

        A nonce is random and used once: with 2^32 values to a key, the chance of a repeated one is below 2^-32."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + _cipher(self.keys[0]).encrypt(nonce, text.encode(), about.encode())
        return base64.b64encode(sealed).decode(), self.ids[0]

    def open(self, sealed: str, key_id: str, about: str) -> str:
        """The text. Raises: FederationError when the key is not here, or text or `about` is not what was sealed."""
        from cryptography.exceptions import InvalidTag

        key = dict(zip(self.ids, self.keys, strict=True)).get(key_id)
        if key is None:
            raise FederationError(f"{about} is encrypted with the key {key_id}, which is not in {self.source}")
        try:
            raw = base64.b64decode(sealed, validate=True)
            return _cipher(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], about.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise FederationError(
                f"{about} can't be decrypted: the store's file was changed or damaged; restore a backup"
            ) from error


def _cipher(key: bytes) -> AESGCM:
    # Imported only where there are secrets.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
