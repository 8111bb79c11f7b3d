"""Fingerprints of code, read from source without importing it.

From the ground up: ``syntax``, ``scopes``, ``walk``, ``definitions``, ``dynamic``, ``normal`` look at one piece of
syntax; ``bindings``, ``executed``, ``parsing`` at one module; ``modules``, ``source``, ``distributions`` find
modules; ``resolve``, ``effects``, ``imports``, ``reach``, ``outcome`` follow what is reached in them; ``marks``
and ``loaded`` look at decorators and at code that has no source; ``index`` puts it together. ``freshness`` compares
what is loaded with what the source says.
"""

from hydra_cached.keys.code.index import CodeIndex, CodeNotFound, Fingerprint, code_index

__all__ = ["CodeIndex", "CodeNotFound", "Fingerprint", "code_index"]
