"""Configs with a defaults list."""

global_package = {"_package_": "_global_", "defaults": [{"foo": "bar"}], "x": 10}
group_package = {"_package_": "_group_", "defaults": [{"foo": "bar"}], "x": 10}
