"""Pictures of estimators, in scikit-learn's Display manner.

Matplotlib is an optional dependency: it is imported when something is drawn, never when these modules are imported.
"""
