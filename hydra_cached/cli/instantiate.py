"""``instantiate``: run a pipeline that is a dict in a Python module."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence

from hydra_cached.errors import HydraCachedError

log = logging.getLogger("hydra_cached.instantiate")


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    result = argparse.ArgumentParser(
        prog="instantiate",
        description="Run a pipeline: instantiate a config object that is defined in a Python module. Equal "
        "sub-configs are computed once; with --persist_cache, once and for all.",
    )
    add = result.add_argument
    add("config", help="module that holds the config, as a dotted name; the current directory is searched")
    add("overrides", nargs="*", help="changes to the config in Hydra's grammar: a.b=1 +a.c=2 ~a.d")
    add("-o", "--config_object", default="config", metavar="OBJ", help="name of the object (default: config)")
    add(
        "-p",
        "--persist_cache",
        action="store_true",
        help="keep results on disk, and use those that are there",
    )
    add("-c", "--cache_dir", default="cache", metavar="DIR", help="where to keep them (default: cache)")
    add("-v", "--cache_verbose", action="store_true", help="log every look-up")
    add("-d", "--display_config", action="store_true", help="log the config as YAML before it is run")
    add(
        "-e",
        "--exclude_persisting_targets",
        default="",
        metavar="TARGETS",
        help="targets whose results are not kept: dotted names or glob patterns, separated by commas",
    )
    add("-l", "--log_level", default="INFO", metavar="LEVEL", help="level of the log (default: INFO)")
    add(
        "-t",
        "--time_min_persist",
        type=_milliseconds,
        default=1000,
        metavar="MS",
        help="keep only results that took at least so many milliseconds (default: 1000)",
    )
    return result


def _milliseconds(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, or 2 for a wrong argument or config."""
    options = parser().parse_intermixed_args(arguments)
    level = logging.getLevelName(options.log_level.upper())
    if not isinstance(level, int):
        parser().error(f"argument -l/--log_level: there is no level {options.log_level!r}")
    logging.basicConfig(level=level)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())

    from hydra_cached.module_config import load_config, prepare_config

    try:
        config = prepare_config(load_config(options.config, options.config_object), options.overrides)
    except HydraCachedError as error:
        print(f"instantiate: error: {error}", file=sys.stderr)
        return 2
    if options.display_config:
        from hydra_cached.show.yaml_view import config_to_yaml

        log.info("config to instantiate:\n%s", config_to_yaml(config))
    _run(config, options)
    return 0


def _run(config: object, options: argparse.Namespace) -> None:
    from hydra.utils import instantiate

    from hydra_cached.active import activated
    from hydra_cached.api import open_session, sharing_session
    from hydra_cached.config import read_options

    if options.persist_cache:
        excluded = [name.strip() for name in options.exclude_persisting_targets.split(",") if name.strip()]
        session = open_session(
            read_options(
                dir=options.cache_dir,
                share="equal",
                min_seconds=options.time_min_persist / 1000,
                exclude=excluded,
                verbose=options.cache_verbose,
            )
        )
    else:
        session = sharing_session(verbose=options.cache_verbose)
    start = time.perf_counter()
    ending = "failed"
    try:
        with activated(session, everywhere=True):
            instantiate(config, _convert_="partial")
        ending = "done"
    finally:
        total = time.perf_counter() - start
        log.info("instantiation %s. total execution time: %.3f s", ending, total)
        log.info("cache: %s", session.summary().line())


if __name__ == "__main__":
    sys.exit(main())
