"""What Hydra's plugin scan finds of hydra-cached. Light on purpose: every Hydra app on the machine imports it."""
