import os

from embedded import ports


def test_no_port_is_picked_twice_before_it_is_bound():
    """A JVM binds its ports seconds after they were picked."""
    picked = [ports.pick_free_port() for _ in range(300)]

    assert len(set(picked)) == 300


def test_processes_that_start_together_pick_different_ports(monkeypatch):
    """The workers of a test run have process ids in a row."""
    parts = []
    for pid in range(70_000, 70_010):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        parts.append({ports.pick_free_port() for _ in range(20)})

    assert len(set.union(*parts)) == 10 * 20
    assert max(map(max, parts)) < 30_000
