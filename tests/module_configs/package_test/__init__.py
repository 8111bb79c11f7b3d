"""Configs that ask for a package."""

none = {"foo": "bar"}
explicit = {"_package_": "a.b", "foo": "bar"}
group = {"_package_": "_group_", "foo": "bar"}
group_name = {"_package_": "foo._group_._name_", "foo": "bar"}
name = {"_package_": "_name_", "foo": "bar"}
