"""Secret stores: Azure Key Vault, Vault, AWS and Google, as small as the relay's requests need.

Enters: requests for secrets and for the unwrapping of keys, each with its store's own login.
Leaves: the answers of the services, and the faults of a script.
They share no code with the relay.
"""
