"""Parquet objects, read by another library than the one that wrote them."""

import io
import re
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet


def stored_rows(objects: Mapping[str, bytes], folder: str = "") -> list[dict[str, Any]]:
    """Return the rows of all objects below a folder, in the order of partition and offset."""
    found = [
        (re.split(r"[0-9]{20}", key.rpartition("/")[2])[0], row)
        for key, content in objects.items()
        if key.startswith(folder) and key.endswith(".parquet")
        for row in pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
    ]
    return [row for _, row in sorted(found, key=lambda each: (each[0], each[1]["kafka_offset"]))]


def stored_uids(objects: Mapping[str, bytes], folder: str = "") -> list[str]:
    """Return the uid of each row, in the same order."""
    return [row["uid"] for row in stored_rows(objects, folder)]


def rows_of(objects: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return the rows of objects of the format ocsf, in the order of the offsets of one partition."""
    tables = [pyarrow.parquet.read_table(io.BytesIO(content)) for content in objects.values()]
    rows = [row for table in tables for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["metadata"]["sequence"])
