"""The peers of the destinations in a sandbox: a module a kind.

Enters: the directory of the sandbox.
Leaves: the settings with which the relay reaches a peer, the rows that it stored, and how each row must look.
May not know: the relay. What a row must look like is written here a second time, from the contract alone.
"""
