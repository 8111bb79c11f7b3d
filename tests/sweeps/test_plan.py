"""Plans: what would be done, without doing it."""

from __future__ import annotations

from sweeping import Sweeps, sweeps

from hydra_cached.sweeps.plan import Fact, Fate, StageRow, make_plan, stage_rows

__all__ = ["sweeps"]


def test_fates() -> None:
    """Done jobs are restored, equal ones follow the first, jobs without a key run."""
    facts = [Fact(3, "a"), Fact(4, "b", done=True), Fact(5, "a"), Fact(6, None, reason="why"), Fact(7, None)]
    plan = make_plan(facts)
    assert [each.fate for each in plan.fates.values()] == [
        Fate.RUN,
        Fate.RESTORED,
        Fate.SAME,
        Fate.RUN,
        Fate.RUN,
    ]
    assert plan.fates[5].like == 3 and plan.order == [3, 6, 7]
    assert plan.reasons() == {"why": [6]}
    assert plan.line(9.0) == "5 jobs: 3 to run, 1 done before and restored (9.0 s), 1 equal to others"


def test_repeats_have_fates_of_their_own() -> None:
    """Without deduplication, keys of repeats differ, and equal keys would not matter."""
    assert make_plan([Fact(0, "a"), Fact(1, "a")], dedupe=False).order == [0, 1]


def test_stages_are_counted_once_each() -> None:
    """Of each stage: how many jobs want it, how many different ones there are and are not, what that spares."""
    uses = [("data", "load", key, key == "x", "") for key in ("x", "x", "y", "y", "y")]
    uses.append(("now", "clock", None, False, "it is not deterministic"))
    assert stage_rows(uses, {"load": 2.0}) == [
        StageRow("data", "load", 5, 1, 1, 2.0),
        StageRow("now", "clock", 1, 0, 1, None, "it is not deterministic"),
    ]
    assert stage_rows(uses, {"load": 2.0})[0].saved == 8.0


def test_the_plan_of_a_sweep(sweeps: Sweeps) -> None:
    """`cache.plan=true` prints what would be done with each job and stage, runs nothing, and is right."""
    sweeps.sweep("model.k=1,2")
    sweeps.project.ran()
    before = sorted(path for path in (sweeps.root / ".hydra_cached" / "entries").rglob("*"))
    output = sweeps.sweep("model.k=1,3,3,4", "cache.plan=true", to="planned")
    assert sweeps.project.ran() == []
    assert before == sorted(path for path in (sweeps.root / ".hydra_cached" / "entries").rglob("*"))
    lines = [line.split() for line in output.splitlines()]
    jobs = {line[0]: line[-1] for line in lines if len(line) > 1 and line[0].isdigit()}
    assert jobs == {"0": "before", "1": "run", "2": "1", "3": "run"}
    stages = {line[1]: line[2:5] for line in lines if len(line) > 4 and line[1].startswith("stages.")}
    assert stages == {"stages.data": ["2", "1", "0"], "stages.model": ["2", "0", "2"]}
    sweeps.sweep("model.k=1,3,3,4", to="done")
    assert sorted(sweeps.project.ran()) == ["job:3", "job:4", "model", "model"]


def test_the_plan_of_a_job(sweeps: Sweeps) -> None:
    """`cache.plan=true` does the same for a single job, node by node, with exit status 0."""
    output = sweeps.project.python("app.py", "cache.plan=true")
    assert "stages.data" in output and "stages.model" in output
    assert sweeps.project.ran() == []
    sweeps.project.python("app.py")
    sweeps.project.ran()
    output = sweeps.project.python("app.py", "cache.plan=true", "model.k=2")
    rows = {line.split()[1]: line.split()[2:5] for line in output.splitlines() if " stages." in line}
    assert rows == {"stages.data": ["1", "1", "0"], "stages.model": ["1", "0", "1"]}


def test_plans_import_no_targets(sweeps: Sweeps) -> None:
    """Neither does planning import the modules of targets, nor does restoring."""
    stages = sweeps.root / "stages.py"
    sweeps.sweep("model.k=1,2")
    text = stages.read_text()
    stages.write_text(text + "\nraise RuntimeError('imported')\n")
    output = sweeps.sweep("model.k=1,2", "cache.plan=true")
    assert "imported" not in output


def test_a_sweep_without_the_launcher_is_not_planned(sweeps: Sweeps) -> None:
    """Without the launcher that plans, `cache.plan=true` stops a sweep before it begins, and says what to add."""
    arguments = ("-m", "hydra/launcher=basic", "cache.plan=true", "model.k=1,2")
    output = sweeps.project.python("app.py", *arguments, status=1)
    assert "add hydra/launcher=cached" in output
    assert sweeps.project.ran() == []


def test_what_is_passed_at_the_call_is_said(sweeps: Sweeps) -> None:
    """A stage that gets an argument at the call is not guessed at once that was seen."""
    app = sweeps.root / "app.py"
    app.write_text(
        app.read_text().replace("instantiate(cfg.model)", "instantiate(cfg.model, k=cfg.model.k + 1)")
    )
    sweeps.sweep("model.k=1")
    output = sweeps.sweep("model.k=1,2", "cache.plan=true")
    assert "the app passes it something at the call" in output
