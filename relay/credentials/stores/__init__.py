"""Secret stores: services that keep secrets for the relay, beside variables and files.

Enters: references such as `azure-key-vault:VAULT/SECRET`, and the settings of `secret_stores`.
Leaves: the secrets, as they are now or as they were last known; failures are SecretStoreError.
A store is a module with one reader and one line in `catalogue.py`; the cache knows no store.
It knows no organization and no setting that holds a secret.
"""
