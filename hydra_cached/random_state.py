"""The global random state: of ``random``, and of numpy's and torch's generators where these are loaded.

A target that draws from it depends on more than its arguments, and changes more than its result. With its state
before the call in the key and its state after in the entry, a hit leaves the same numbers to come as a run.
"""

from __future__ import annotations

import base64
import importlib
import json
import random
import sys
from typing import Any

from blake3 import blake3

States = dict[str, Any]  # by library, in a form that JSON keeps exactly


def capture() -> States:
    """The states of all global generators."""
    version, words, gauss = random.getstate()
    states: States = {"random": [version, list(words), gauss]}
    numpy, torch = _loaded("numpy", "random"), _loaded("torch", "get_rng_state")
    if numpy is not None:
        kind, array, at, has_gauss, cached = numpy.random.get_state(legacy=True)
        states["numpy"] = [kind, array.tolist(), at, has_gauss, cached]
    if torch is not None:
        states["torch"] = _text(torch.get_rng_state())
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            states["cuda"] = [_text(state.cpu()) for state in torch.cuda.get_rng_state_all()]
    return states


def digest(states: States) -> str:
    """Digest of captured states."""
    return blake3(json.dumps(states, sort_keys=True).encode()).hexdigest()


def restore(states: States) -> None:
    """Set the global generators to captured states; a library that is not loaded yet is loaded for it.

    If one cannot be set, all are left as they were, and its error is raised.
    """
    now = capture()
    try:
        _set(states)
    except BaseException:
        _set(now)
        raise


def _set(states: States) -> None:
    version, words, gauss = states["random"]
    random.setstate((version, tuple(words), gauss))
    if "numpy" in states:
        importlib.import_module("numpy").random.set_state(tuple(states["numpy"]))
    if "torch" in states:
        torch = importlib.import_module("torch")
        torch.set_rng_state(_tensor(torch, states["torch"]))
        if "cuda" in states and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([_tensor(torch, state) for state in states["cuda"]])


def position() -> tuple[Any, ...]:
    """A mark that moves when a global generator is drawn from; cheaper than its whole state."""
    _, words, gauss = random.getstate()
    marks: list[Any] = [words[-1], words[0], gauss]
    numpy, torch = _loaded("numpy", "random"), _loaded("torch", "get_rng_state")
    if numpy is not None:
        _, array, at, has_gauss, cached = numpy.random.get_state(legacy=True)
        marks.extend((at, int(array[0]), has_gauss, cached))
    if torch is not None:
        marks.append(torch.get_rng_state().numpy().tobytes())
    return tuple(marks)


def _loaded(name: str, attribute: str) -> Any:
    """A library, if somebody has imported it, whole, already."""
    module = sys.modules.get(name)
    return module if hasattr(module, attribute) else None


def _text(state: Any) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode()


def _tensor(torch: Any, text: str) -> Any:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)


def joined(key: str, states: States | None) -> str:
    """A key in which the states stand, too, if there are any."""
    return key if states is None else blake3(f"{key} {digest(states)}".encode()).hexdigest()
