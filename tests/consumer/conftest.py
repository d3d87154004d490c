import consumer  # noqa: F401 - before polars, which it quietens
