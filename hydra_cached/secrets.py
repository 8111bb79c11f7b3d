"""What must not be shown: secrets are in keys, and in no manifest, log line or report.

A value is secret when its parameter's name says so, when it came from the environment (``unresolved`` finds
these), and where a text holds a password as URLs and connection strings do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

SECRET = "(secret)"
_WORDS = (
    "passw(or)?d|passwd|passphrase|passcode|pass|pwd|secrets?|credentials?|token|bearer|auth|authorization|dsn|jwt|"
    "cookie|connection_?string|"
    "(api|access|secret|private|signing|account|client|encryption|ssh|master|shared)_?key"
)
_NAME = re.compile(f"(^|_)({_WORDS})$")
_JOINT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[-.\s]")
_IN_URL = re.compile(r"://([^\s/@:]*:\S*|[^\s/@]+)@")
_IN_TEXT = re.compile(
    rf"((?:{_WORDS.replace('_?', '[_-]?')})\s*[=:]\s*)(?:(?:bearer|basic)\s+)?[^\s&;,'\"]+", re.IGNORECASE
)
_LONG = 6  # characters; what is shorter may stand in other texts by chance


def looks_secret(name: Any) -> bool:
    """Whether a parameter's name says that its value is a secret: ``db_password``, ``apiKey``, ``x-api-key``."""
    return isinstance(name, str) and _NAME.search(_JOINT.sub("_", name).lower()) is not None


def named_in_environment() -> list[str]:
    """Values of the environment variables whose name says that they are secrets."""
    return [value for name, value in os.environ.items() if len(value) >= _LONG and looks_secret(name)]


def holds_secret(text: str, secrets: Iterable[str]) -> bool:
    """Whether a text is one of some secrets, or holds one that is long enough to be told from a coincidence."""
    return any(secret == text or (len(secret) >= _LONG and secret in text) for secret in secrets)


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without passwords in URLs and connection strings, and without the given secrets."""
    for secret in secrets:
        if len(secret) >= _LONG:
            text = text.replace(secret, SECRET)
    return _IN_TEXT.sub(r"\1***", _IN_URL.sub("://***@", text))
