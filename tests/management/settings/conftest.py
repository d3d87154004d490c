import pytest


@pytest.fixture(autouse=True)
def _working_directory(tmp_path, monkeypatch):
    """Each test has an empty working directory, so no relay.toml of this machine is found."""
    monkeypatch.chdir(tmp_path)
