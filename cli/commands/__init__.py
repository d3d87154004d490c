"""The commands, a module for each group; `cli.command_table` lists them.

In: the `CommandContext` of `cli.context`, arguments and options.
Out: printed results, and `typer.Exit(1)` when a check or a change failed.
A command may not hold logic: what an operator can do is in `management`, how a service runs in its room.
A module is imported only when its command runs, so it may import what it needs at its top.
"""
