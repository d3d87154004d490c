from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from relay.config import validators as values

Count = Annotated[int, BeforeValidator(values.number)]
Seconds = Annotated[float, BeforeValidator(values.number)]
Folder = Annotated[Path, AfterValidator(values.expanded)]
File = Annotated[Path, AfterValidator(values.existing)]
Listen = Annotated[str, AfterValidator(values.listen)]
Site = Annotated[str, AfterValidator(values.site)]
Url = Annotated[str, AfterValidator(values.url)]
SecretUrl = Annotated[str, AfterValidator(values.secret_url)]
AzureCredential = Literal["default", "managed-identity", "workload-identity", "client-secret", "azure-cli"]


class Group(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, validate_default=True
    )
