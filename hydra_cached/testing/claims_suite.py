"""What claims must do: of one name there is one, and only who knows its text replaces or removes it."""

from __future__ import annotations

import threading
import time

import pytest

from hydra_cached.stores.base import Claims
from hydra_cached.testing.backend import Backend, key_of
from hydra_cached.testing.store_suite import run_all

NAME, OTHER = key_of(1), key_of(2)


def text_of(claims: Claims, name: str) -> str | None:
    """A claim's text, if there is one."""
    claim = claims.read(name)
    return None if claim is None else claim[0]


class ClaimsSuite:
    """For stores that have claims. Needs the fixture ``backend``."""

    @pytest.fixture
    def claims(self, backend: Backend) -> Claims:
        return backend.claims()

    def test_a_claim_is_created_once(self, claims: Claims) -> None:
        """Of one name there is one claim, which has the first text; another name is another claim."""
        assert claims.read(NAME) is None
        assert claims.create(NAME, "a") and not claims.create(NAME, "b") and claims.create(OTHER, "c")
        claim = claims.read(NAME)
        assert claim is not None and claim[0] == "a" and 0 <= claim[1] < 5
        assert text_of(claims, OTHER) == "c"

    def test_other_handles_see_what_was_claimed(self, backend: Backend, claims: Claims) -> None:
        """A handle that has looked before sees what others create, swap and drop."""
        other = backend.claims()
        assert other.read(NAME) is None and claims.create(NAME, "a")
        assert not other.create(NAME, "b")
        backend.settle()
        assert text_of(other, NAME) == "a" and other.swap(NAME, "a", "b")
        backend.settle()
        assert text_of(claims, NAME) == "b" and claims.drop(NAME, "b")
        backend.settle()
        assert other.read(NAME) is None and other.create(NAME, "c")

    @pytest.mark.parametrize("text", ["", '{"host": "ünï", "n": 1}', "x" * 2000, "a\nb"])
    def test_texts_come_back_as_they_were(self, claims: Claims, text: str) -> None:
        """Whatever text a claim has, up to some thousand bytes, it is read, swapped and dropped by it."""
        assert claims.create(NAME, text) and text_of(claims, NAME) == text
        assert claims.swap(NAME, text, text + "!") and text_of(claims, NAME) == text + "!"
        assert claims.swap(NAME, text + "!", text) and claims.drop(NAME, text) and claims.read(NAME) is None

    def test_only_who_knows_its_text_removes_or_replaces_a_claim(self, claims: Claims) -> None:
        """Dropping and swapping want the text that is there; what is not there is neither dropped nor swapped."""
        assert not claims.drop(NAME, "a") and not claims.swap(NAME, "a", "b") and claims.read(NAME) is None
        claims.create(NAME, "a")
        assert not claims.drop(NAME, "b") and not claims.swap(NAME, "b", "c")
        assert text_of(claims, NAME) == "a"
        assert claims.swap(NAME, "a", "b") and text_of(claims, NAME) == "b"
        assert not claims.drop(NAME, "a") and claims.drop(NAME, "b") and claims.read(NAME) is None

    def test_touching_makes_a_claim_young(self, backend: Backend, claims: Claims) -> None:
        """A claim's age counts from when it was touched last; touching what is not there makes nothing."""
        claims.touch(NAME)
        assert claims.read(NAME) is None
        claims.create(NAME, "a")
        time.sleep(0.5 + 3 * backend.resolution)
        old = claims.read(NAME)
        begin = time.monotonic()
        claims.touch(NAME)
        young = claims.read(NAME)
        since = time.monotonic() - begin
        assert old is not None and old[1] >= 0.45 + 2 * backend.resolution
        assert young is not None and young[0] == "a" and 0 <= young[1] <= since + 0.1 + 2 * backend.resolution

    def test_a_swap_makes_a_claim_young(self, backend: Backend, claims: Claims) -> None:
        """Who takes over is not taken for silent at once."""
        claims.create(NAME, "a")
        time.sleep(0.5 + 3 * backend.resolution)
        begin = time.monotonic()
        assert claims.swap(NAME, "a", "b")
        claim = claims.read(NAME)
        since = time.monotonic() - begin
        assert claim is not None and claim[0] == "b" and 0 <= claim[1] <= since + 0.1 + 2 * backend.resolution

    def test_of_many_threads_that_swap_or_create_one_succeeds(self, backend: Backend) -> None:
        """Eight threads swap the same text, or create the same claim: one succeeds, again and again."""
        turns, barrier = range(10), threading.Barrier(8)
        won: list[tuple[str, str]] = []

        def take() -> None:
            mine = backend.claims()
            for turn in turns:
                me, swapped, created = (f"{turn} {threading.get_ident()}", key_of(turn), key_of(turn + 100))
                if barrier.wait(60) == 0:
                    mine.create(swapped, "dead")
                barrier.wait(60)
                if mine.swap(swapped, "dead", me):
                    won.append((swapped, me))
                if mine.create(created, me):
                    won.append((created, me))

        run_all([take] * 8)
        assert sorted(name for name, _ in won) == sorted(key_of(turn + n) for turn in turns for n in (0, 100))
        assert all(text_of(backend.claims(), name) == me for name, me in won)

    def test_nobody_sees_a_claim_missing_while_it_is_swapped(self, backend: Backend) -> None:
        """Who reads while others swap finds one text or the other: that there is none always means released."""
        stop = threading.Event()
        backend.claims().create(NAME, "0")

        def swap() -> None:
            mine = backend.claims()
            try:
                for turn in range(40):
                    assert mine.swap(NAME, str(turn), str(turn + 1))
            finally:
                stop.set()

        def read() -> None:
            mine = backend.claims()
            while not stop.is_set():
                text = text_of(mine, NAME)
                assert text is not None and text.isdigit()

        run_all([swap, read, read])

    @pytest.mark.parametrize("name", ["", "../" + NAME, "/etc/passwd", "README", NAME + "\n"])
    def test_a_claims_name_leads_nowhere_else(self, claims: Claims, name: str) -> None:
        """A name that is not hex digits is refused, whatever is asked."""
        for act in (
            lambda: claims.create(name, ""),
            lambda: claims.read(name),
            lambda: claims.touch(name),
            lambda: claims.swap(name, "", ""),
            lambda: claims.drop(name, ""),
        ):
            with pytest.raises(ValueError, match="cannot name a claim"):
                act()

    def test_claims_are_no_entries(self, backend: Backend, claims: Claims) -> None:
        """A claim on a key is not listed, read or deleted as its entry."""
        claims.create(NAME, "a")
        store = backend.open()
        assert list(store.keys()) == [] and store.get(NAME) is None and not store.delete(NAME)
        assert text_of(claims, NAME) == "a"
