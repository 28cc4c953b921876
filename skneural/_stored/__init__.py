"""Estimators as plain data, and files of them: JSON and arrays, whose reading runs no code of theirs."""
