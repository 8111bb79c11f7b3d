"""What can go wrong, in words for a person. Every error says what, where and what to do."""

from __future__ import annotations


class HydraCachedError(Exception):
    """Root of all errors that hydra-cached raises itself (those of your targets pass through unchanged)."""


class UnknownHydraError(HydraCachedError):
    """The installed Hydra has internals that this version does not know, so nothing was intercepted."""

    def __init__(self, version: str, what: str) -> None:
        super().__init__(
            f"hydra-cached does not know the internals of Hydra {version}: {what}. "
            "The cache stays off. Install a Hydra between 1.3.2 and 1.4, or a newer hydra-cached."
        )
        self.version = version
        self.what = what

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return (type(self), (self.version, self.what))


class OptionError(HydraCachedError, ValueError):
    """An option of the cache has a value that means nothing."""

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"cache.{option}: {problem}")
        self.option = option
        self.problem = problem

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return (type(self), (self.option, self.problem))


class NotCanonical(HydraCachedError, TypeError):
    """A value has no canonical form, so that no key can stand for it."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(f"{path or 'the value'} is a {kind}, which has no canonical form")
        self.path = path
        self.kind = kind

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return (type(self), (self.path, self.kind))


class NotStorable(HydraCachedError, TypeError):
    """A result cannot be kept: it does not survive pickling, or must not be pickled at all."""


class NotRestorable(HydraCachedError):
    """What belongs to a stored result, such as a file, cannot be put back where it belongs."""


class HandedOther(NotRestorable):
    """A stored result refers to what its target was handed, and the target is handed other objects now."""


class DamagedEntry(HydraCachedError):
    """A stored entry is not what was stored: truncated, changed, of a foreign version, or unreadable."""


class ForeignEntry(DamagedEntry):
    """What lies in an entry's place is whole and not ours: of another format version, or somebody's file."""


class UntrustedEntry(DamagedEntry):
    """An entry may be somebody else's: it belongs to another user, or is not signed with a key that is known."""


class UntrustedRoot(HydraCachedError):
    """Others can write to the cache's directory, so that they could run code in this process."""


class StrictError(HydraCachedError):
    """With ``strict``: a result that policy says to keep could not be kept."""


class ConfigModuleError(HydraCachedError):
    """A Python module that should hold a config cannot be imported or does not hold it."""


def brief(error: BaseException) -> str:
    """One line for a person: an error's text, with its type unless it is one of ours; even if its text raises."""
    try:
        text = (str(error).splitlines() or [""])[0]
    except Exception:
        text = ""
    if isinstance(error, HydraCachedError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
