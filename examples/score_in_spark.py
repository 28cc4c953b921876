"""Score a table in Spark: each worker loads a stored classifier, and takes its part of the rows.

Run it with ``python examples/score_in_spark.py model.skn table.parquet scored.parquet``. All workers must see the file
of the classifier, which ``estimator.save`` has written, and have skneural.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Score = Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]


def score_by(path: str) -> Score:
    def score(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import skneural  # in the worker

        classifier = skneural.load(path)  # once for all the frames of a partition
        for frame in frames:
            features = frame[list(classifier.feature_names_in_)]
            yield frame.assign(label=classifier.predict(features))

    return score


def scored(table: DataFrame, path: str) -> DataFrame:
    schema = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in table.schema)
    return table.mapInPandas(score_by(path), schema=f"{schema}, label long")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Score a table in Spark.")
    parser.add_argument("classifier", help="a file that estimator.save has written")
    parser.add_argument("table", help="rows in Parquet, with the columns that the classifier was fitted with")
    parser.add_argument("output", help="where to write them with their labels")
    options = parser.parse_args()

    from pyspark.sql import SparkSession  # not for --help

    session = SparkSession.builder.getOrCreate()
    scored(session.read.parquet(options.table), options.classifier).write.parquet(options.output)
    session.stop()
