"""Configs two levels down."""

nested1 = {"l1_l2_n1": True}
nested2 = {"l1_l2_n2": True}
