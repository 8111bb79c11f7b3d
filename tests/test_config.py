"""The options of the cache: defaults, what is accepted, and the words for what is not."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, ValidationError

from hydra_cached.config import CacheOptions, Code, Mode, Share, read_options, signing_keys
from hydra_cached.errors import HydraCachedError, OptionError

DEFAULTS = {
    "dir": ".hydra_cached",
    "mode": Mode.readwrite,
    "min_seconds": 1.0,
    "include": [],
    "exclude": [],
    "ignore": [],
    "code": Code.project,
    "random_state": [],
    "share": Share.reference,
    "wait_seconds": None,
    "shared": False,
    "signing_key": None,
    "max_size": None,
    "max_age": None,
    "strict": False,
    "verbose": False,
}
SECRET = "a key that is long enough"


def test_the_defaults_are_as_documented() -> None:
    """Without options the cache is as the table in the README says."""
    options = read_options()
    assert {name: getattr(options, name) for name in DEFAULTS} == DEFAULTS
    assert options == CacheOptions()


def test_two_sets_of_options_share_nothing() -> None:
    """Changing the lists of one leaves the other, and the defaults, alone."""
    one, two = read_options(), read_options()
    one.include.append("x")
    assert two.include == [] == CacheOptions().include
    base = CacheOptions(include=["a"])
    derived = read_options(base)
    derived.include.append("b")
    assert base.include == ["a"]


def test_given_options_go_over_the_base() -> None:
    """What is given replaces, what is not stays; the base is not changed."""
    base = CacheOptions(dir="a", min_seconds=5, strict=True)
    found = read_options(base, min_seconds=0, mode="readonly")
    assert (found.dir, found.min_seconds, found.strict, found.mode) == ("a", 0.0, True, Mode.readonly)
    assert base == CacheOptions(dir="a", min_seconds=5, strict=True)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("dir", "x", "x"),
        ("dir", Path("x") / "y", os.path.join("x", "y")),
        ("dir", None, None),
        ("dir", "s3://bucket/x", "s3://bucket/x"),
        *(("mode", mode.name, mode) for mode in Mode),
        *(("mode", mode, mode) for mode in Mode),
        *(("share", share.name, share) for share in Share),
        *(("code", code.name, code) for code in Code),
        ("min_seconds", 0, 0.0),
        ("min_seconds", 2, 2.0),
        ("min_seconds", 0.25, 0.25),
        ("min_seconds", float("inf"), float("inf")),
        ("wait_seconds", None, None),
        ("wait_seconds", 60, 60.0),
        ("include", ("a", "b"), ["a", "b"]),
        ("include", OmegaConf.create(["a"]), ["a"]),
        ("exclude", [], []),
        ("ignore", ["*.num_workers"], ["*.num_workers"]),
        ("strict", True, True),
        ("shared", True, True),
        ("verbose", False, False),
        ("signing_key", SECRET, SECRET),
        ("signing_key", f" {SECRET} , {SECRET[::-1]}", f"{SECRET},{SECRET[::-1]}"),
        ("signing_key", [SECRET, SECRET[::-1]], f"{SECRET},{SECRET[::-1]}"),
        ("max_size", "20GB", "20GB"),
        ("max_size", 1_000_000, "1000000"),
        ("max_age", "30d", "30d"),
        ("max_age", 3600, "3600"),
    ],
)
def test_what_is_accepted(name: str, given: Any, value: Any) -> None:
    """Names of modes, paths of any kind, whole numbers of seconds, any sequence of patterns."""
    found = getattr(read_options(**{name: given}), name)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("mode", "write", "must be one of readwrite, readonly, refresh, off, not 'write'"),
        ("mode", "READWRITE", "must be one of"),
        ("mode", None, "must be one of"),
        ("mode", False, "must be one of"),
        ("mode", [], "must be one of"),
        ("mode", Share.equal, "must be one of"),
        ("share", "all", "must be one of reference, equal, none, not 'all'"),
        ("share", True, "must be one of"),
        ("code", "on", "must be one of project, target, off, not 'on'"),
        ("include", "pkg.*", "must be a list of patterns, not the string 'pkg.*'"),
        ("exclude", "pkg.*", "must be a list of patterns, not the string 'pkg.*'"),
        ("ignore", "x", "must be a list of patterns, not the string 'x'"),
        ("random_state", "x", "must be a list of patterns, not the string 'x'"),
        ("strict", "true", "must be true or false, not 'true'"),
        ("strict", 1, "must be true or false, not 1"),
        ("strict", None, "must be true or false, not None"),
        ("verbose", "no", "must be true or false, not 'no'"),
        ("min_seconds", "1", "must be a number of seconds, not '1'"),
        ("min_seconds", None, "must be a number of seconds, not None"),
        ("min_seconds", True, "must be a number of seconds, not True"),
        ("wait_seconds", "60", "must be a number of seconds, not '60'"),
        ("wait_seconds", False, "must be a number of seconds, not False"),
        ("wait_seconds", float("nan"), "must be a number of seconds, not nan"),
        ("shared", "group", "must be true or false, not 'group'"),
        (
            "max_size",
            "20XB",
            "must be a size such as 500MB, 20GB or 1.5TiB, or a number of bytes, not '20XB'",
        ),
        ("max_size", -1, "must be a size"),
        ("max_size", True, "must be a size"),
        ("max_age", "3 months", "must be a time such as 30d, 12h, 15m or 2w, or a number of seconds"),
        ("max_age", [], "must be a time"),
        ("signing_key", "", "is empty; set it to null if entries are not to be signed"),
        ("signing_key", f"{SECRET},", "is empty"),
        ("signing_key", [], "is empty"),
        ("signing_key", "a short one", "a key has less than 16 characters"),
        ("signing_key", 12345678901234567890, "must be a text, or a list of texts, not a int"),
        ("directory", "x", "there is no such option; there are code, dir, exclude"),
        ("min_second", 1, "there is no such option"),
    ],
)
def test_what_means_nothing_is_an_error_with_its_name(name: str, given: Any, words: str) -> None:
    """The error names the option as a user writes it, and says what it may be."""
    with pytest.raises(OptionError) as caught:
        read_options(**{name: given})
    assert str(caught.value).startswith(f"cache.{name}: {words}")
    assert isinstance(caught.value, (ValueError, HydraCachedError)) and caught.value.option == name


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("dir", 5),
        ("dir", b"bytes"),
        ("dir", ["x"]),
        ("include", None),
        ("include", 5),
        ("exclude", [None]),
        ("exclude", b"pkg.*"),
        ("include", [["pkg.*"]]),
        ("min_seconds", float("nan")),
    ],
)
def test_what_has_the_wrong_type_is_an_error_with_its_name(name: str, given: Any) -> None:
    """Directories that are no paths, patterns that are no strings, seconds that are no number: OptionErrors."""
    with pytest.raises(OptionError):
        read_options(**{name: given})


def test_keys_are_not_shown() -> None:
    """Neither errors about a signing key nor what the options look like show any of it."""
    for value in ("tiny-secret", [SECRET, "tiny-secret"], {"key": "tiny-secret"}, b"tiny-secret"):
        with pytest.raises(OptionError) as caught:
            read_options(signing_key=value)
        assert "tiny" not in str(caught.value) and SECRET not in str(caught.value)
    assert SECRET not in repr(read_options(signing_key=SECRET))
    assert signing_keys(read_options(signing_key=[SECRET, SECRET * 2])) == [SECRET, SECRET * 2]
    assert signing_keys(read_options()) == []


def test_option_errors_come_through_pickle() -> None:
    """From a worker process the error arrives as it was."""
    error = OptionError("mode", "is wrong")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (str(again), again.option, again.problem) == ("cache.mode: is wrong", "mode", "is wrong")


# As a node of a config.


def test_the_node_is_typed() -> None:
    """A misspelt option or a value of the wrong type is an error of the config's own."""
    node = OmegaConf.structured(CacheOptions)
    for name, value in {"min_seconds": "soon", "mode": "write", "strict": "perhaps", "include": 5}.items():
        with pytest.raises(ValidationError):
            OmegaConf.update(OmegaConf.structured(CacheOptions), name, value)
    with pytest.raises((ConfigAttributeError, ConfigKeyError)):
        OmegaConf.update(node, "directory", "x")
    node.mode, node.min_seconds, node.share, node.include = "readonly", "2", "none", ["a"]
    found = OmegaConf.to_object(node)
    assert found == CacheOptions(mode=Mode.readonly, min_seconds=2.0, share=Share.none, include=["a"])


def test_every_option_can_stand_in_a_config() -> None:
    """The node goes through YAML and comes back."""
    node = OmegaConf.structured(CacheOptions(dir=None, mode=Mode.off, exclude=["a"], code=Code.off))
    merged = OmegaConf.merge(OmegaConf.structured(CacheOptions), OmegaConf.create(OmegaConf.to_yaml(node)))
    assert OmegaConf.to_object(merged) == OmegaConf.to_object(node)


@pytest.mark.parametrize("name", ["mode", "code"])
def test_off_wants_quotes_in_yaml(name: str) -> None:
    """YAML reads a bare ``off`` as false, which is refused with the values that there are, never taken for on."""
    with pytest.raises(ValidationError, match=r"expected one of .*off"):
        OmegaConf.merge(OmegaConf.structured(CacheOptions), OmegaConf.create(f"{name}: off"))
    quoted = OmegaConf.create(f"{name}: 'off'")
    merged = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(CacheOptions), quoted))
    assert getattr(merged, name).name == "off"  # type: ignore[union-attr]


def test_every_option_is_documented() -> None:
    """Each option stands in the docstring of ``CacheOptions``."""
    text = inspect.getdoc(CacheOptions) or ""
    for option in dataclasses.fields(CacheOptions):
        assert f"\n    {option.name}: " in text


def test_the_module_is_light() -> None:
    """Hydra's plugin scan imports it in every app: nothing but the standard library comes along."""
    code = (
        "import sys; before = set(sys.modules); import hydra_cached.config\n"
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['hydra_cached']"
