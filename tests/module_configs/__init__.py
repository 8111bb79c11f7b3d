"""Configs that Hydra's own tests of config sources want to find."""

config_without_group = {"group": False}
config_with_unicode = {"group": "数据库"}
config_with_defaults_list = {"defaults": [{"dataset": "imagenet"}], "key": "value"}
primary_config = {"foo": "bar"}
primary_config_with_non_global_package = {"_package_": "foo", "foo": "bar"}
