"""A name that Python keeps for itself can be that of a module."""

config = {"_package_": "_global_", "foo": "bar"}
