"""Settings: how they are read and checked, and the groups that relay itself uses.

Enters: a TOML file, the environment as a mapping, and a pydantic model of all groups.
Leaves: frozen models with valid values, or a SettingsError with one sentence for each fault.
It knows no settings of sources and destinations, and never reads os.environ.
"""
