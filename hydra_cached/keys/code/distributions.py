"""Which installed distribution owns a module, and in which version, without importing anything.

``importlib.metadata.packages_distributions()`` reads every RECORD there is (tens of megabytes in an
environment with torch), so the lookup goes the other way round: the distribution of the same name is
tried first, then the small ``top_level.txt`` files, and only then the RECORDs, one by one.
"""

from __future__ import annotations

import os
import re

from blake3 import blake3

_METADATA_NAMES = ("METADATA", "PKG-INFO")
_SITE_NAMES = ("site-packages", "dist-packages")


class Distributions:
    """Finds owners of modules among the metadata directories of one search path entry; memoised.

    The memo of a root is dropped when the root's own modification time changes, which every
    installation, upgrade and removal does.
    """

    def __init__(self) -> None:
        self._stamps: dict[str, int] = {}
        self._metadata: dict[str, list[str]] = {}
        self._owners: dict[tuple[str, str], tuple[str, str] | None] = {}
        self._versions: dict[str, tuple[str, str] | None] = {}

    def owner(self, root: str, top: str, relative: str | None) -> tuple[str, str] | None:
        """Name and version of the distribution that installed a module, or None.

        Args:
            root: the search path entry under which the module was found.
            top: the module's top-level name.
            relative: the module's file relative to ``root``, with ``/``, when ``top`` is a namespace
                package, which several distributions may share; else None.
        """
        self._refresh(root)
        key = (root, relative or top)
        if key not in self._owners:
            self._owners[key] = self._search(root, top, relative)
        return self._owners[key]

    def _refresh(self, root: str) -> None:
        try:
            stamp = os.stat(root).st_mtime_ns
        except OSError:
            stamp = -1
        if self._stamps.get(root) == stamp:
            return
        self._stamps[root] = stamp
        self._owners = {key: value for key, value in self._owners.items() if key[0] != root}
        self._versions = {path: v for path, v in self._versions.items() if os.path.dirname(path) != root}
        # egg-info beside sources is what a checkout has, too: it proves an installation in site-packages only.
        endings = (".dist-info", ".egg-info") if os.path.basename(root) in _SITE_NAMES else (".dist-info",)
        try:
            names = sorted(os.listdir(root))
        except OSError:
            names = []
        self._metadata[root] = [os.path.join(root, name) for name in names if name.endswith(endings)]

    def _search(self, root: str, top: str, relative: str | None) -> tuple[str, str] | None:
        candidates = self._metadata[root]
        namesake = _canonical(top)
        candidates = sorted(candidates, key=lambda path: _canonical(_stem(path)) != namesake)
        for path in candidates:
            if relative is None and _canonical(_stem(path)) != namesake and not _lists_top(path, top):
                continue
            if _owns(path, top, relative):
                return self._version(path)
        for path in candidates:
            if _owns(path, top, relative):
                return self._version(path)
        return None

    def _version(self, path: str) -> tuple[str, str] | None:
        if path not in self._versions:
            self._versions[path] = _read_version(path)
        return self._versions[path]


def _stem(path: str) -> str:
    return os.path.basename(path).rsplit(".", 1)[0].split("-", 1)[0]


def _canonical(name: str) -> str:
    """The comparable form of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _read(path: str, name: str) -> bytes | None:
    try:
        with open(os.path.join(path, name), "rb") as file:
            return file.read()
    except OSError:
        return None


def _lists_top(path: str, top: str) -> bool:
    listed = _read(path, "top_level.txt")
    return listed is not None and top in listed.decode("utf-8", "replace").split()


def _owns(path: str, top: str, relative: str | None) -> bool:
    record = _read(path, "RECORD")
    if record is None:
        record = _read(path, "installed-files.txt")
    if record is None:
        # Debian's packages and old eggs have no list of files.
        return relative is None and (os.path.isfile(path) or _lists_top(path, top))
    record = b"\n" + record
    if relative is not None:
        return b"\n" + relative.encode() + b"," in record or b"\n../" + relative.encode() + b"\n" in record
    name = top.encode()
    return any(mark in record for mark in (b"\n" + name + b"/", b"\n" + name + b".", b"\n../" + name))


def _read_version(path: str) -> tuple[str, str] | None:
    header: dict[str, str] = {}
    text = next((text for name in _METADATA_NAMES if (text := _read(path, name)) is not None), None)
    if text is None and os.path.isfile(path):
        text = _read(os.path.dirname(path), os.path.basename(path))
    for line in (text or b"").decode("utf-8", "replace").splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        header.setdefault(key.strip().lower(), value.strip())
    if "name" not in header or "version" not in header:
        return None
    version = header["version"]
    if _read(path, "direct_url.json") is not None:
        # Installed from a checkout or a URL: the version need not change when the code does.
        version = f"{version} files {_record_digest(path)}"
    return header["name"], version


def _record_digest(path: str) -> str:
    lines = (_read(path, "RECORD") or b"").splitlines()
    own = os.path.basename(path).encode() + b"/"
    files = [line for line in lines if not line.startswith((own, b"../")) and b"__pycache__/" not in line]
    return blake3(b"\n".join(sorted(files))).hexdigest()[:16]
