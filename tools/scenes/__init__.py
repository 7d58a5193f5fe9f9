"""Drawn scenes and the shards made of them."""
