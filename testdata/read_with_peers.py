#!/usr/bin/env python3
"""Reads every table of a store with other engines, as plain Parquet: the folder is a contract, not an accident.

usage: read_with_peers.py DATA
Prints JSON: for each engine and table its rows, and of each column how many values are not NULL with the sum of numbers (true is 1) or the least
and greatest time in microseconds; or why an engine was skipped (`pip install duckdb polars pyarrow chdb pyspark`, and Java for the last).
"""
import glob
import json
import math
import os
import sys


def answer(columns, values):
    """What was asked of columns, (name, kind), beside what came: the rows, then for each column its count and one or two more."""
    values = iter(values)
    found = {"rows": int(next(values)), "columns": {}}
    for name, kind in columns:
        column = {"values": int(next(values))}
        if kind == "number":
            total = next(values)
            # JSON has no NaN.
            column["sum"] = total if total is None or math.isfinite(total) else str(total)
        elif kind == "time":
            column["min"], column["max"] = (None if v is None else int(v) for v in (next(values), next(values)))
        found["columns"][name] = column
    return found


def kinds(columns):
    """Of names and types in an engine's own words."""
    for name, said in columns:
        said = str(said).lower()
        if name == "date":
            continue
        if "str" in said or "char" in said or "dictionary" in said:
            yield name, "text"
        elif "time" in said:
            yield name, "time"
        elif any(word in said for word in ("int", "double", "float", "bool", "long")):
            yield name, "boolean" if "bool" in said else "number"
        else:
            yield name, "text"


def questions(columns, micros, quote):
    """SELECT list of one row."""
    asked = ["count(*)"]
    for name, kind in columns:
        column = f"{quote}{name}{quote}"
        asked.append(f"count({column})")
        if kind == "number":
            # As floats: nanoseconds since 1970 add up to more than 64 bits.
            asked.append(f"sum({column} * 1e0)")
        elif kind == "time":
            asked += [micros.format(f"min({column})"), micros.format(f"max({column})")]
    return ", ".join(asked)


def duckdb(folder):
    import duckdb

    files = f"read_parquet('{folder}/date=*/*.parquet', hive_partitioning = true)"
    columns = list(kinds((row[0], row[1]) for row in duckdb.sql(f"DESCRIBE SELECT * FROM {files}").fetchall()))
    return answer(columns, duckdb.sql(f"SELECT {questions(columns, 'epoch_us({})', chr(34))} FROM {files}").fetchall()[0])


def polars(folder):
    import polars

    frame = polars.scan_parquet(f"{folder}/date=*/*.parquet", hive_partitioning=True)
    columns = list(kinds(frame.collect_schema().items()))
    asked = [polars.len().alias("rows")]
    for name, kind in columns:
        column = polars.col(name)
        asked.append(column.count().alias(f"{name} values"))
        if kind == "number":
            asked.append(polars.when(column.count() > 0).then(column.cast(polars.Float64).sum()).alias(f"{name} sum"))
        elif kind == "time":
            asked += [column.min().dt.epoch("us").alias(f"{name} min"), column.max().dt.epoch("us").alias(f"{name} max")]
    return answer(columns, frame.select(asked).collect().row(0))


def pyarrow(folder):
    import pyarrow.compute as compute
    import pyarrow.dataset as dataset

    # Given a folder it would also take files that a commit replaced: it goes by no ending.
    files = sorted(glob.glob(f"{folder}/date=*/*.parquet"))
    table = dataset.dataset(files, partitioning="hive", partition_base_dir=folder).to_table()
    columns = list(kinds((field.name, field.type) for field in table.schema))
    values = [table.num_rows]
    for name, kind in columns:
        column = table[name]
        values.append(compute.count(column).as_py())
        if kind == "number":
            values.append(compute.sum(column.cast("float64", safe=False)).as_py())
        elif kind == "time":
            ends = compute.min_max(column.cast("int64"))
            values += [ends["min"].as_py(), ends["max"].as_py()]
    return answer(columns, values)


def chdb(folder):
    import chdb

    files = f"file('{folder}/date=*/*.parquet', Parquet)"
    ask = lambda sql: [json.loads(line) for line in str(chdb.query(sql, "JSONCompactEachRow")).splitlines()]
    exact = "SETTINGS output_format_json_quote_64bit_integers = 0, aggregate_functions_null_for_empty = 1"
    columns = list(kinds((row[0], row[1]) for row in ask(f"DESCRIBE TABLE {files}")))
    asked = questions(columns, "toUnixTimestamp64Micro({})", "`")
    return answer(columns, ask(f"SELECT {asked} FROM {files} {exact}")[0])


def spark(folder):
    from pyspark.sql import SparkSession

    spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
             .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    # Given a folder it would also take files that a commit replaced, for it goes by no ending, and stumble over files kept whole.
    reader = spark.read.option("basePath", folder).option("pathGlobFilter", "*.parquet")
    frame = reader.parquet(f"{folder}/date=*")
    columns = list(kinds(frame.dtypes))
    frame.createOrReplaceTempView("rows")
    return answer(columns, spark.sql(f"SELECT {questions(columns, 'unix_micros({})', '`')} FROM rows").first())


def main():
    data = os.path.abspath(sys.argv[1])
    tables = sorted(os.path.basename(path) for path in glob.glob(f"{data}/*") if glob.glob(f"{path}/date=*/*.parquet"))
    answers = {}
    for name, engine in [("duckdb", duckdb), ("polars", polars), ("pyarrow", pyarrow), ("chdb", chdb), ("spark", spark)]:
        try:
            answers[name] = {table: engine(f"{data}/{table}") for table in tables}
        except ModuleNotFoundError as error:
            answers[name] = {"skipped": str(error)}
        except Exception as error:
            # Without Java.
            if name != "spark" or "JAVA" not in str(error):
                raise
            answers[name] = {"skipped": str(error)}
    print(json.dumps(answers))


main()
