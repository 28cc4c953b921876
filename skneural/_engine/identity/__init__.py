"""What tells one model from another, and copies and stores it with all of its arguments.

It imports nothing of the engine but records.
"""
