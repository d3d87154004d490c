"""The base model of every settings group, and the value types of their fields."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from relay.config import validators as values

Count = Annotated[int, BeforeValidator(values.require_number)]
Seconds = Annotated[float, BeforeValidator(values.require_number)]
ExpandedPath = Annotated[Path, AfterValidator(values.expand_path)]
ExistingFile = Annotated[Path, AfterValidator(values.require_file)]
ListenAddress = Annotated[str, AfterValidator(values.require_address)]
OriginUrl = Annotated[str, AfterValidator(values.normalize_origin)]
Url = Annotated[str, AfterValidator(values.normalize_url)]
SecretUrl = Annotated[str, AfterValidator(values.require_secure_url)]
OrganizationName = Annotated[str, AfterValidator(values.require_organization)]
AzureCredential = Literal["default", "managed-identity", "workload-identity", "client-secret", "azure-cli"]


class ConfigModel(BaseModel):
    """A group of settings: frozen, without unknown fields, and without values in its errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, validate_default=True
    )


@dataclass(frozen=True, slots=True)
class ByKind:
    """Marks a union of models whose field `kind` tells them apart, made from a table when the settings are built.

    The place of a fault within such a model holds the kind after the name: ("destinations", "soc", "sentinel", "stream").
    """

    models: Callable[[], Mapping[str, type[BaseModel]]]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {kind: handler.generate_schema(model) for kind, model in self.models().items()}
        return core_schema.tagged_union_schema(choices, discriminator="kind")
