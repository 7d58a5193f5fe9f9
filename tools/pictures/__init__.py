"""Sheets of pictures that the verbs draw."""
