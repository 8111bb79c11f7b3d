"""The house of docs/design: imports point down, one module knows Hydra's insides, plugins stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the ground up. A module may import from floors below its own, and from its own room.
FLOORS = [
    ["errors", "events", "marks", "units", "config", "random_state", "secrets", "unresolved", "artifacts"],
    ["keys", "stores"],
    ["policy", "shelf", "logs", "seam", "explain", "opening"],
    ["call", "object_cache", "inventory", "whereabouts"],
    ["publish", "children"],
    ["lookup"],
    ["session"],
    ["active"],
    ["api"],
    ["module_config"],
    ["show", "module_tree"],
    ["sweeps"],
    ["callback"],
    ["cli", "execution"],
    ["testing"],
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Within the ground floor there is an order, too.
GROUND = FLOORS[0]
MODULES = sorted((ROOT / "hydra_cached").rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "hydra_cached").with_suffix("").parts
    return parts[0]


def imported(path: Path) -> set[str]:
    """Dotted names of all that a module imports, wherever in it; not what is only for the type checker."""
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def rooms_imported(path: Path) -> set[str]:
    parts = (name.split(".") for name in imported(path))
    return {part[1] for part in parts if part[0] == "hydra_cached" and len(part) > 1}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    """A module imports only from floors below its own, or from its own room."""
    room = room_of(path)
    if room == "__init__":
        return
    assert room in FLOOR, f"{room} has no floor: add it to FLOORS"
    for other in rooms_imported(path):
        if other == room or other not in FLOOR:
            continue
        if FLOOR[room] == 0:
            assert GROUND.index(other) < GROUND.index(room), f"{room} imports {other}"
        else:
            assert FLOOR[other] < FLOOR[room], f"{room} imports {other}, which is not below it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_seam_knows_hydras_insides(path: Path) -> None:
    """No module but the seam imports hydra._internal."""
    if path.name != "seam.py":
        assert not [name for name in imported(path) if name.startswith("hydra._internal")]


def test_the_namespace_package_has_no_init() -> None:
    """hydra_plugins is shared with other plugins, so it must not be a package of ours."""
    assert not (ROOT / "hydra_plugins" / "__init__.py").exists()


def test_files_are_one_thought_each() -> None:
    """No module outgrows 420 lines; one that does wants splitting by meaning."""
    long = {str(path): len(path.read_text().splitlines()) for path in MODULES}
    assert not {path: lines for path, lines in long.items() if lines > 420}


def test_hydras_plugin_scan_loads_nothing_heavy() -> None:
    """Importing the plugin modules loads neither the session nor what it needs."""
    code = (
        "import sys, hydra_plugins.hydra_cached.config_group, hydra_plugins.hydra_cached.module_source;"
        "heavy = {'blake3', 'fsspec', 'cloudpickle', 'numpy', 'hydra_cached.session', 'hydra_cached.api'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
