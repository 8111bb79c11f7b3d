"""The Optuna sweeper, batch by batch, over `cached`."""

from __future__ import annotations

from sweeping import CONFIG, Sweeps, installed, sweeps

__all__ = ["sweeps"]
pytestmark = installed("optuna")
ARGUMENTS = (
    "hydra/sweeper=optuna",
    "hydra.sweeper.sampler.seed=1",
    "hydra.sweeper.n_jobs=2",
    "hydra.sweeper.n_trials=6",
)


def study(sweeps: Sweeps, to: str) -> str:
    return (sweeps.root / to / "optimization_results.yaml").read_text()


def test_a_study_goes_on_where_it_was(sweeps: Sweeps) -> None:
    """The trials of a study that were done come back as results, so that the same study finds the same best."""
    telling = "{_target_: hydra_plugins.telling.sweeper.TellingSweeper, max_batch_size: null}"
    sweeps.project.write(conf__config_yaml=CONFIG.replace(telling, "{params: {model.k: 'range(20, 60)'}}"))
    sweeps.sweep(*ARGUMENTS[:3], "hydra.sweeper.n_trials=4", to="a")
    first = sweeps.ran()
    assert len(first) == 4
    sweeps.sweep(*ARGUMENTS, to="b")
    assert len(sweeps.ran()) == 2
    sweeps.sweep(*ARGUMENTS, to="c")
    assert sweeps.ran() == []
    assert study(sweeps, "c") == study(sweeps, "b")
