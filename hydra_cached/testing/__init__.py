"""Conformance suites for backends: subclass one in a test module of yours, give a ``backend``, and run pytest.

``docs/design/testing.md`` has an example. pytest is needed, and nothing in the package imports this.
"""

import pytest

pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("store_suite", "damage_suite", "process_suite")),
    *(f"{__name__}.{name}" for name in ("claims_suite", "lease_suite", "serializer_suite")),
)

# Only now, so that pytest can say what was compared.
from hydra_cached.testing.backend import Backend, is_whole, key_of, made  # noqa: E402
from hydra_cached.testing.claims_suite import ClaimsSuite  # noqa: E402
from hydra_cached.testing.damage_suite import DamageSuite  # noqa: E402
from hydra_cached.testing.faults import Fault, FaultyStore  # noqa: E402
from hydra_cached.testing.lease_suite import LeaseSuite  # noqa: E402
from hydra_cached.testing.process_suite import LeaseProcessSuite, ProcessSuite  # noqa: E402
from hydra_cached.testing.serializer_suite import SerializerSuite  # noqa: E402
from hydra_cached.testing.store_suite import StoreSuite  # noqa: E402

__all__ = [
    "Backend",
    "ClaimsSuite",
    "DamageSuite",
    "Fault",
    "FaultyStore",
    "LeaseProcessSuite",
    "LeaseSuite",
    "ProcessSuite",
    "SerializerSuite",
    "StoreSuite",
    "is_whole",
    "key_of",
    "made",
]
