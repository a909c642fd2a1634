#!/usr/bin/env python3
"""Reads the samples of a store with other engines, as plain Parquet: the folder is a contract, not an accident.

usage: read_with_peers.py DATA
Prints JSON: for each engine rows, sums and the last time, or why it was skipped (`pip install duckdb polars`).
"""
import json
import sys


def duckdb(folder):
    import duckdb

    row = duckdb.connect().execute(
        "SELECT count(*), sum(heap_inuse_bytes), sum(num_gc), count(DISTINCT instance), epoch_us(max(ts)) "
        f"FROM read_parquet('{folder}/samples/**/*.parquet', hive_partitioning = true)"
    ).fetchall()[0]
    return dict(zip(["rows", "heap", "gc", "instances", "last"], map(int, row)))


def polars(folder):
    import polars

    frame = polars.scan_parquet(f"{folder}/samples/**/*.parquet", hive_partitioning=True)
    row = frame.select(
        polars.len().alias("rows"),
        polars.col("heap_inuse_bytes").sum().alias("heap"),
        polars.col("num_gc").sum().alias("gc"),
        polars.col("instance").n_unique().alias("instances"),
        polars.col("ts").max().dt.epoch("us").alias("last"),
    ).collect()
    return {name: int(row[name][0]) for name in row.columns}


def main():
    answers = {}
    for name, engine in [("duckdb", duckdb), ("polars", polars)]:
        try:
            answers[name] = engine(sys.argv[1])
        except ModuleNotFoundError as error:
            answers[name] = {"skipped": str(error)}
    print(json.dumps(answers))


main()
