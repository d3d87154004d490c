"""The syntax of the project's files, for tests that hold rules on them."""

import ast
import gc


def syntax_of(text: str) -> ast.Module:
    """Return the syntax tree of a Python file.

    No garbage is collected meanwhile: a finalizer that parses too, as one that logs a traceback does,
    makes CPython 3.11 raise `SystemError: AST constructor recursion depth mismatch`.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if collecting:
            gc.enable()
