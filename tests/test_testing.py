"""The suites as others use them: the documented example passes, and stores that break the contract do not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "design" / "testing.md"


def example() -> str:
    """The example in the documentation."""
    [code] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(code)


def outcome(directory: Path, code: str, *options: str) -> tuple[int, str]:
    """pytest's exit status, and its output, for a test module with this code."""
    (directory / "test_my_store.py").write_text(code)
    (directory / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def test_the_documented_example_passes(tmp_path: Path) -> None:
    """A backend is tested with what the documentation shows, and passes all of it."""
    status, output = outcome(tmp_path, example())
    assert status == 0 and re.search(r"\b[5-9]\d passed", output), output[-3000:]
    assert "skipped" not in output


@pytest.mark.parametrize(
    ("right", "wrong", "failing"),
    [
        ("bytearray(found[0][0])", "found[0][0]", "what_one_reader_changes"),
        ("check_key(key)", "key", "what_is_no_key_is_refused"),
        ("replace into", "insert or ignore into", "entries_come_back_until_deleted"),
        ("if isinstance(found, list) else [])", 'if isinstance(found, list) else [""])', "other_handles_see"),
        ("return len(data)", "return 0", "entries_come_back_until_deleted"),
    ],
)
def test_a_store_that_breaks_the_contract_fails(tmp_path: Path, right: str, wrong: str, failing: str) -> None:
    """Views that are shared, keys that are not looked at, entries that are not replaced: each fails the suite."""
    assert right in example()
    status, output = outcome(tmp_path, example().replace(right, wrong), "-k", failing)
    assert status == 1 and "failed" in output, output[-3000:]
