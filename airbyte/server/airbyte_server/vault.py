"""Secret values of connector configurations: encrypted in the database, masked in answers and logs.

Which values are secret is what the connector's specification marks ``airbyte_secret``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

MASK = "**********"
_ENCRYPTED = "_airbyte_encrypted"


class VaultError(RuntimeError):
    """The encryption key is malformed or does not fit the stored secrets."""


class Vault:
    """Encrypts secret values with the first of some Fernet keys, decrypts them with any."""

    def __init__(self, keys: str) -> None:
        """``keys`` are separated by commas or white space."""
        try:
            fernets = [Fernet(key) for key in keys.replace(",", " ").split()]
            self._newest, self._all = fernets[0], MultiFernet(fernets)
        except (ValueError, IndexError) as error:
            raise VaultError(
                "a secrets key is not 32 url-safe base64-encoded bytes: make one with "
                "cryptography.fernet.Fernet.generate_key() and set AIRBYTE_SECRETS_KEY"
            ) from error

    @classmethod
    def open(cls, keys: str | None, key_file: Path) -> Vault:
        """Use ``keys``, else those in ``key_file``, which is made (mode 0600) when missing."""
        if keys is not None:
            return cls(keys)
        try:
            descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(key_file.read_text())
        with os.fdopen(descriptor, "w") as file:
            file.write(Fernet.generate_key().decode())
        return cls(key_file.read_text())

    def encrypt(self, configuration: dict[str, Any], specification: dict[str, Any]) -> dict[str, Any]:
        """``configuration`` with every secret value replaced by its encrypted form.

        Raises :class:`ValueError` where the configuration holds what would be taken for such a form.
        """
        if _looks_encrypted(configuration):
            raise ValueError(f"the configuration has an object with the one member {_ENCRYPTED!r}, which is reserved")
        return map_secrets(configuration, specification, self._seal)

    def decrypt(self, stored: Any) -> Any:
        """The inverse of :meth:`encrypt`; needs no specification. Raises :class:`VaultError` for another key."""
        if isinstance(stored, dict):
            if stored.keys() == {_ENCRYPTED}:
                try:
                    return json.loads(self._all.decrypt(stored[_ENCRYPTED]))
                except InvalidToken as error:
                    raise VaultError(
                        "a stored secret was encrypted with another key: start the server with the AIRBYTE_SECRETS_KEY "
                        "or data directory it was first started with, or enter the connector's secrets again"
                    ) from error
            return {key: self.decrypt(value) for key, value in stored.items()}
        if isinstance(stored, list):
            return [self.decrypt(value) for value in stored]
        return stored

    def rotated(self, stored: Any) -> Any:
        """``stored`` with every secret encrypted by the newest key. Raises :class:`VaultError`."""
        if isinstance(stored, dict):
            if stored.keys() == {_ENCRYPTED}:
                try:
                    self._newest.decrypt(stored[_ENCRYPTED])
                except InvalidToken:
                    return self._seal(self.decrypt(stored))
                return stored
            return {key: self.rotated(value) for key, value in stored.items()}
        return [self.rotated(value) for value in stored] if isinstance(stored, list) else stored

    def _seal(self, value: Any) -> Any:
        return {_ENCRYPTED: self._newest.encrypt(json.dumps(value).encode()).decode()}


def mask(configuration: dict[str, Any], specification: dict[str, Any]) -> dict[str, Any]:
    """``configuration`` (plain or encrypted) with ``**********`` for every secret value."""
    return map_secrets(_mask_encrypted(configuration), specification, lambda value: MASK)


def _mask_encrypted(value: Any) -> Any:
    if isinstance(value, dict):
        return MASK if value.keys() == {_ENCRYPTED} else {key: _mask_encrypted(item) for key, item in value.items()}
    return [_mask_encrypted(item) for item in value] if isinstance(value, list) else value


def _looks_encrypted(value: Any) -> bool:
    if isinstance(value, dict):
        return value.keys() == {_ENCRYPTED} or any(map(_looks_encrypted, value.values()))
    return isinstance(value, list) and any(map(_looks_encrypted, value))


def keep_masked(new: Any, current: Any) -> Any:
    """``new`` with the value of ``current`` wherever the client sent back the mask it was shown."""
    if new == MASK and current is not None:
        return current
    if isinstance(new, dict) and isinstance(current, dict):
        return {key: keep_masked(value, current.get(key)) for key, value in new.items()}
    if isinstance(new, list) and isinstance(current, list):
        padded = current + [None] * (len(new) - len(current))
        return [keep_masked(value, old) for value, old in zip(new, padded, strict=False)]
    return new


def map_secrets(value: Any, schema: Any, transform: Callable[[Any], Any]) -> Any:
    """``value`` with ``transform`` applied to what ``schema`` marks as secret, in any variant of a choice."""
    schemas = list(_variants(schema))
    if value not in (None, "") and any(variant.get("airbyte_secret") for variant in schemas):
        return transform(value)
    if isinstance(value, dict):
        return {
            key: map_secrets(item, {"anyOf": [v.get("properties", {}).get(key, {}) for v in schemas]}, transform)
            for key, item in value.items()
        }
    if isinstance(value, list):
        items = {"anyOf": [variant.get("items", {}) for variant in schemas]}
        return [map_secrets(item, items, transform) for item in value]
    return value


def _variants(schema: Any) -> Iterable[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for keyword in ("oneOf", "anyOf", "allOf"):
            for variant in schema.get(keyword, ()):
                yield from _variants(variant)


class Redactor:
    """Replaces the secret values of some configurations in any text, also as they look inside JSON strings."""

    def __init__(self, *configurations: tuple[dict[str, Any], dict[str, Any]]) -> None:
        """Each argument is a plain configuration with its specification."""
        secrets: set[str] = set()
        for configuration, specification in configurations:
            map_secrets(configuration, specification, lambda value: secrets.update(_forms(value)))
        self._secrets = sorted(secrets, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def _forms(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _forms(item)
    elif isinstance(value, list):
        for item in value:
            yield from _forms(item)
    else:
        text = value if isinstance(value, str) else json.dumps(value)
        yield text
        yield json.dumps(text)[1:-1]
        # A key file quoted line by line, as in a traceback.
        yield from (line for line in text.splitlines() if len(line) >= 16)
