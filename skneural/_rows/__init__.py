"""Rows, targets' containers and weights as users give them -> arrays, or an error that names the remedy.

It may import the engine and what is below it.
"""
