"""Hydra alone, a cold cache and a warm cache: the same value or the same error, whatever the config."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from generated import (
    DOCILE_TASTE,
    PLAIN_TASTE,
    Scenario,
    scenarios,
    special_keys,
    with_special_keys,
)
from harness import all_kept, caching, hydra_is_itself, is_subsequence, run
from hypothesis import HealthCheck, Phase, given, settings

from hydra_cached import activate
from hydra_cached.events import Kind
from hydra_cached.stores.memory import MemoryStore

EXAMPLES = int(os.environ.get("DIFFERENTIAL_EXAMPLES", "150"))
bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 150,  # more are for hunting
    database=None,
    phases=[Phase.generate],  # these configs are small, and making them smaller takes minutes
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


@bounded
@given(scenarios())
def test_every_call_gives_the_same_through_cold_and_warm_caches(scenario: Scenario) -> None:
    """A value or an error is Hydra's own, whether it is computed under a cache or served from one."""
    alone = run(scenario)
    store = MemoryStore()
    with caching(store, share="none") as session:
        cold = run(scenario)
        events = list(session.events)
    with caching(store, share="none"):
        warm = run(scenario)
        again = run(scenario)
    assert cold.result == alone.result
    assert warm.result == alone.result
    assert again.result == alone.result
    assert cold.config_after == warm.config_after == alone.config_after
    assert cold.sharing == alone.sharing
    assert is_subsequence(cold.calls, alone.calls)
    assert is_subsequence(warm.calls, cold.calls)
    if all_kept(events):
        assert warm.calls == []
    assert hydra_is_itself()
    assert run(scenario).result == alone.result


@bounded
@given(scenarios(DOCILE_TASTE))
def test_no_docile_config_calls_a_target_twice(scenario: Scenario) -> None:
    """Where all targets are cacheable and nothing is passed in from outside, a warm cache calls no target."""
    alone = run(scenario)
    store = MemoryStore()
    with caching(store) as session:
        run(scenario)
        refused = [event for event in session.events if event.kind is Kind.REFUSED]
        partial = any("partial" in event.reason for event in session.events)
    with caching(store):
        warm = run(scenario)
    assert warm.result == alone.result
    if alone.result[0] == "value" and not partial:
        assert not refused
        assert warm.calls == []


@bounded
@given(scenarios(DOCILE_TASTE))
def test_sharing_changes_no_value(scenario: Scenario) -> None:
    """Whoever gets the same object: where targets do not change their arguments, the values are Hydra's."""
    alone = run(scenario)
    for first, second in (("reference", "equal"), ("equal", "none"), ("none", "reference")):
        store = MemoryStore()
        for share in (first, second):
            with caching(store, share=share):
                assert run(scenario).result == alone.result
                assert run(scenario).result == alone.result


_crowd = MemoryStore()


@bounded
@given(scenarios())
def test_results_of_other_configs_are_never_served(scenario: Scenario) -> None:
    """In a store that holds the results of all configs so far, each still finds only its own."""
    if scenario.form == "struct":
        # On Hydra 1.4 a result may hold a config that is struct because its parent was. That is not in the key.
        scenario = replace(scenario, form="config")
    alone = run(scenario)
    for _ in range(2):
        with caching(_crowd, share="none"):
            assert run(scenario).result == alone.result


@bounded
@given(scenarios(PLAIN_TASTE), special_keys)
def test_special_keys_never_reach_a_target(scenario: Scenario, keys: list[dict[str, bool]]) -> None:
    """A config with special keys gives what it gives without them, cold, warm and with ``mode: off``."""
    alone = run(scenario)
    special = replace(scenario, tree=with_special_keys(scenario.tree, keys))
    store = MemoryStore()
    for options in ({}, {}, {"mode": "off"}, {"mode": "refresh"}, {"mode": "readonly"}):
        with caching(store, share="none", **options):
            assert run(special).result == alone.result


@settings(bounded, max_examples=max(10, EXAMPLES // 5))
@given(scenarios())
def test_a_directory_serves_as_memory_does(
    tmp_path_factory: pytest.TempPathFactory, scenario: Scenario
) -> None:
    """Through files, in sessions of their own: the same."""
    alone = run(scenario)
    directory = tmp_path_factory.mktemp("cache")
    results: list[Any] = []
    for _ in range(2):
        with activate(directory, min_seconds=0, share="none"):
            results.append(run(scenario).result)
    assert results == [alone.result] * 2
