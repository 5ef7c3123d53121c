"""Peephole for Python."""
