"""Rows in memory, part after part, and from maps of files.

It imports records only.
"""
