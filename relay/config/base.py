"""The base model of every settings group, and the value types of their fields."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from relay.config import validators as values

Count = Annotated[int, BeforeValidator(values.require_number)]
Seconds = Annotated[float, BeforeValidator(values.require_number)]
DirectoryPath = Annotated[Path, AfterValidator(values.expand_path)]
ExistingFile = Annotated[Path, AfterValidator(values.require_file)]
ListenAddress = Annotated[str, AfterValidator(values.require_address)]
OriginUrl = Annotated[str, AfterValidator(values.normalize_origin)]
Url = Annotated[str, AfterValidator(values.normalize_url)]
SecretUrl = Annotated[str, AfterValidator(values.require_secure_url)]
AzureCredential = Literal["default", "managed-identity", "workload-identity", "client-secret", "azure-cli"]


class ConfigModel(BaseModel):
    """A group of settings: frozen, without unknown fields, and without values in its errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, validate_default=True
    )
