"""What a serializer must do: the same value comes back, anew each time, in another process too, or is refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hydra_cached.errors import DamagedEntry, NotStorable
from hydra_cached.stores.base import Entry, Payload
from hydra_cached.stores.formats import Formats, Serializer, name_of, read, register_serializer
from hydra_cached.stores.local import LocalStore
from hydra_cached.stores.serializers import dump, load
from hydra_cached.testing.backend import key_of
from hydra_cached.testing.store_suite import payload_of

KEY = key_of(1)


class SerializerSuite:
    """For values of a type, however ``dump`` writes them.

    Say what they are: override ``examples`` and, where ``==`` does not tell, ``same``. If types have serializers of
    their own, say which in ``serializers``. Classes must be importable, for another process reads the values.
    """

    format: str | None = None  # what all of them are written by, as a payload says it
    serializers: Mapping[type, Serializer] = {}  # registered for the suite

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only what is installed, and these."""
        formats = Formats()
        for kind, serializer in self.serializers.items():
            formats.register(kind, serializer)
        monkeypatch.setattr("hydra_cached.stores.formats.FORMATS", formats)
        monkeypatch.setattr("hydra_cached.stores.serializers.FORMATS", formats)

    def examples(self) -> list[Any]:
        """Values, new ones at each call, that share nothing; small and large, empty and odd."""
        raise NotImplementedError

    def same(self, one: Any, other: Any) -> bool:
        """Whether two values are the same in all that counts."""
        return bool(one == other)

    def refused(self) -> list[Any]:
        """Values that must not be stored."""
        return []

    def spoil(self, value: Any) -> None:
        """Change a value in place, if that can be done."""

    def agrees(self, one: Any, other: Any) -> None:
        """The type is the same, and so is the value."""
        assert type(one) is type(other) and self.same(one, other), f"{one!r} came back as {other!r}"

    def test_values_come_back(self) -> None:
        """A value that went through bytes is the same, of the same type."""
        for value, again in zip(self.examples(), self.examples(), strict=True):
            self.agrees(again, load(kept(dump(value))))

    def test_values_come_back_by_their_format(self) -> None:
        """What has a format, or a serializer of its own, is written by it."""
        for value in self.examples():
            payload = dump(value)
            assert self.format in (None, payload.format)
            if type(value) in self.serializers:
                stream = bytes(payload.stream)
                assert name_of(type(value)).encode() in stream and read.__module__.encode() in stream

    def test_dumping_changes_nothing(self) -> None:
        """A value is the same after it was stored; and what is done to it then does not reach what was stored."""
        for at in range(len(self.examples())):
            # Anew for each, for examples may share what is spoilt.
            value, again = self.examples()[at], self.examples()[at]
            stored = kept(dump(value))
            self.agrees(again, value)
            self.spoil(value)
            self.agrees(again, load(stored))

    def test_values_in_values_come_back(self) -> None:
        """In a list, in a dictionary, twice in one value."""
        for value, again in zip(self.examples(), self.examples(), strict=True):
            one, inner, two = load(kept(dump([value, {"inner": value}, value])))
            self.agrees(again, one)
            self.agrees(again, inner["inner"])
            self.agrees(again, two)

    def test_every_load_is_a_value_of_its_own(self, tmp_path: Path) -> None:
        """What one hit does to its value, the next does not see; not even where the file is mapped."""
        store = LocalStore(tmp_path / "cache")
        for value, again in zip(self.examples(), self.examples(), strict=True):
            store.put(KEY, Entry({}, dump(value)))
            first, second = load(payload_of(store, KEY)), load(payload_of(store, KEY))
            self.spoil(first)
            self.agrees(again, second)
            self.agrees(again, load(payload_of(store, KEY)))

    def test_a_value_outlives_its_entry(self, tmp_path: Path) -> None:
        """What was loaded stays, also when the entry is replaced and deleted."""
        store = LocalStore(tmp_path / "cache")
        for value, again in zip(self.examples(), self.examples(), strict=True):
            store.put(KEY, Entry({}, dump(value)))
            loaded = load(payload_of(store, KEY))
            store.put(KEY, Entry({}, dump("another")))
            store.delete(KEY)
            self.agrees(again, loaded)

    def test_another_process_reads_what_this_one_wrote(self, tmp_path: Path) -> None:
        """And this one what it writes back."""
        file = tmp_path / "payloads"
        payloads = [plain(dump(value)) for value in self.examples()]
        file.write_bytes(pickle.dumps((dict(self.serializers), payloads)))
        code = (
            f"from hydra_cached.testing.serializer_suite import there_and_back; there_and_back({str(file)!r})"
        )
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
        assert done.returncode == 0, done.stderr
        for again, back in zip(self.examples(), pickle.loads(file.read_bytes()), strict=True):
            self.agrees(again, load(kept(back)))

    def test_what_cannot_be_read_is_damage(self) -> None:
        """A payload that is cut off, or whose format is unknown, is a ``DamagedEntry``, never another error."""
        for value in self.examples():
            payload = kept(dump(value))
            stream = bytes(payload.stream)
            lengths = {0, 1, len(stream) // 2, len(stream) - 1} - {len(stream)}
            for bad in [
                *(
                    Payload(payload.format, stream[:length], payload.buffers)
                    for length in lengths
                    if length >= 0
                ),
                Payload(f"no such format as {payload.format}", payload.stream, payload.buffers),
            ]:
                with pytest.raises(DamagedEntry):
                    load(bad)

    def test_what_must_not_be_stored_is_refused(self) -> None:
        """With ``NotStorable``, which says why."""
        for value in self.refused():
            with pytest.raises(NotStorable) as caught:
                dump(value)
            assert len(str(caught.value)) > 10


def kept(payload: Payload) -> Payload:
    """A payload as a store gives it back: copies, of which the buffers can be written to."""
    buffers = [bytearray(memoryview(buffer)) for buffer in payload.buffers]
    return Payload(payload.format, bytes(payload.stream), buffers)


def plain(payload: Payload) -> Payload:
    """A payload that can be pickled."""
    return Payload(payload.format, bytes(payload.stream), [bytes(buffer) for buffer in payload.buffers])


def there_and_back(path: str) -> None:
    """Load values from a file, and write them back."""
    file = Path(path)
    serializers, payloads = pickle.loads(file.read_bytes())
    for kind, serializer in serializers.items():
        register_serializer(kind, serializer)
    values = [load(kept(payload)) for payload in payloads]
    file.write_bytes(pickle.dumps([plain(dump(value)) for value in values]))
