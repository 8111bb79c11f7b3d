"""A group with two configs, which is a config itself."""

config = {"dataset": "none"}
imagenet = {"name": "imagenet", "path": "/datasets/imagenet"}
cifar10 = {"name": "cifar10", "path": "/datasets/cifar10"}
