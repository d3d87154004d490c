import os

# polars turns backtraces on where nobody has chosen; a corrupt message would print fifty lines of Rust.
os.environ.setdefault("RUST_BACKTRACE", "0")
