"""Every setting of the service, from environment variables `CDS_*`. A test holds the README's table against it."""

import difflib
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    DirectoryPath,
    Field,
    FilePath,
    SecretStr,
    ValidationError,
    field_validator,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from cds_service.ledger.database import parse_url
from cds_service.ledger.errors import LedgerSettingError
from cds_service.ledger.sealing import parse_keys
from cds_service.rates import parse_rate
from fhir_mappings.servers import base_of

PREFIX = "CDS_"


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it and says what is expected."""


def _data_dir() -> Path:
    return Path.home() / ".local" / "share" / "drug-coverage-cds"


class Settings(BaseModel):
    """The settings, checked once at start."""

    model_config = ConfigDict(frozen=True, validate_default=True)

    public_url: str = Field("", description="base URL that clients see; used in links, canonicals and as JWT audience")
    auth: Literal["required", "off"] = Field("required", description="whether every call must carry a client JWT")
    allow_insecure: bool = Field(False, description="lets `CDS_AUTH=off` bind to other addresses than loopback")
    database_url: str = Field(
        "", description="SQLAlchemy URL of the ledger; a SQLite file under `CDS_DATA_DIR` by default"
    )
    ledger_keys: SecretStr = Field(
        SecretStr(""),
        description="comma-separated keys that seal evidence in the ledger, the first one seals; none: not kept",
    )
    ledger_durability: Literal["normal", "full"] = Field(
        "normal", description="`full`: each decision waits for the disk, so that a loss of power costs nothing either"
    )
    retention_days: int = Field(0, ge=0, le=36_500, description="days that decisions are kept; 0: until purged")
    cors_origins: tuple[str, ...] = Field(
        (), description="comma-separated origins of browser clients that may call; none by default"
    )
    redis_url: str = Field("", description="shared store of used tokens; kept under `CDS_DATA_DIR` by default")
    trusted_clients: FilePath | None = Field(None, description="JSON file of the registered CDS clients")
    fhir_servers: tuple[str, ...] = Field(
        (), description="comma-separated FHIR base URLs that may be read when `CDS_AUTH=off`"
    )
    batch_servers: tuple[str, ...] = Field(
        (),
        description="comma-separated FHIR base URLs, of those that may be read, "
        "whose servers answer all reads of a round in one batch Bundle",
    )
    ca_file: FilePath | None = Field(
        None,
        description="PEM file of the authorities that servers' certificates are checked against, "
        "instead of the public ones",
    )
    data_dir: Path = Field(default_factory=_data_dir, description="where the service keeps its files")
    authorization: Literal["guidance", "issue"] = Field(
        "guidance", description="`issue`: an authorization number is issued when every criterion is met"
    )
    default_dialect: Literal["2.2", "2.0.1", "plain"] = Field(
        "2.2", description="how a caller that declares nothing is spoken to"
    )
    deadline_s: float = Field(4.0, gt=0, le=60, description="seconds for an answer, FHIR reads included")
    payers: FilePath | None = Field(
        None, description="JSON file of the payers served here, with the label shown on cards; every payer by default"
    )
    members: str = Field("", description="the plan's roster: CSV file, or SQLAlchemy URL with a table `members`")
    payer_label: str = Field("Health plan", description="the payer's name as shown on cards")
    policies_dir: DirectoryPath | None = Field(None, description="folder of the policies; the ones shipped by default")
    smart_client_id: str = Field(
        "drug-coverage-form", min_length=1, description="client id of the documentation form at the EHRs"
    )
    smart_auth_servers: tuple[str, ...] = Field(
        (), description="comma-separated URLs of EHR sign-ins on another origin than their FHIR server"
    )
    smart_frames: tuple[str, ...] = Field(
        (), description="comma-separated origins of EHR pages that frame the form, beside those of their FHIR servers"
    )
    max_body_bytes: int = Field(
        16 * 1024 * 1024, gt=0, description="largest body that is read; reports on forms may be as large as fits"
    )
    client_rate: str = Field(
        "30000/minute",
        description="calls of a registered client that has no `rate` of its own, in each process; empty: any number",
    )
    address_rate: str = Field(
        "3000/minute",
        description="requests of an address for pages, and calls refused for their token, in each process; empty: any",
    )
    proxies: int = Field(
        0, ge=0, le=8, description="reverse proxies before the service, whose X-Forwarded-For tells a caller's address"
    )
    traces: bool = Field(
        False, description="traces of calls to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names (extra `traces`)"
    )
    workers: int = Field(2, ge=1, le=64, description="server processes")
    threads: int = Field(32, ge=1, le=256, description="calls under way at once in each process")

    @field_validator("data_dir", mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        if given == "":
            raise ValueError("expected a folder")
        return given

    @field_validator("database_url")
    @classmethod
    def _database(cls, given: str) -> str:
        try:
            if given:
                parse_url(given)
        except LedgerSettingError as error:
            raise ValueError(str(error).removeprefix("CDS_DATABASE_URL: ")) from None
        return given

    @field_validator("payer_label")
    @classmethod
    def _label(cls, given: str) -> str:
        if not given.strip() or not given.isprintable():
            raise ValueError("expected a name on one line")
        return given

    @field_validator("ledger_keys")
    @classmethod
    def _keys(cls, given: SecretStr) -> SecretStr:
        try:
            parse_keys(given.get_secret_value())
        except LedgerSettingError as error:
            raise ValueError(str(error).removeprefix("CDS_LEDGER_KEYS: ")) from None
        return given

    @field_validator("ca_file")
    @classmethod
    def _authorities(cls, given: Path | None) -> Path | None:
        try:
            if given is not None:
                ssl.create_default_context(cafile=str(given))
        except OSError:  # ssl.SSLError is one
            raise ValueError("expected a file that can be read, with certificates in PEM") from None
        return given

    @property
    def verify(self) -> bool | str:
        """What `requests` checks the certificates of servers against: a file, or True for the public authorities."""
        return str(self.ca_file) if self.ca_file is not None else True

    @field_validator("cors_origins", "smart_frames")
    @classmethod
    def _origins(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for origin in given:
            if base_of(origin) != origin or urlsplit(origin).path:
                raise ValueError("expected origins like https://ehr.example, without a path; * is not taken")
        return given

    @field_validator(
        "fhir_servers", "batch_servers", "cors_origins", "smart_auth_servers", "smart_frames", mode="before"
    )
    @classmethod
    def _split(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        return tuple(part.strip().rstrip("/") for part in given.split(",") if part.strip())

    @field_validator("fhir_servers", "batch_servers", "smart_auth_servers")
    @classmethod
    def _bases(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for base in given:
            _check_url(base)
        return given

    @field_validator("members")
    @classmethod
    def _roster(cls, given: str) -> str:
        if "://" in given:
            check_database_url(given)
        elif given and not Path(given).is_file():
            raise ValueError("expected a CSV file that is there, or a SQLAlchemy URL")
        return given

    @field_validator("client_rate", "address_rate")
    @classmethod
    def _rate(cls, given: str) -> str:
        try:
            if given:
                parse_rate(given)
        except ValueError:
            raise ValueError("expected a rate like 600/minute") from None
        return given

    @field_validator("traces")
    @classmethod
    def _tracing(cls, given: bool) -> bool:
        if given and find_spec("opentelemetry") is None:
            raise ValueError("OpenTelemetry is not installed; install the extra `traces`")
        return given

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, given: str) -> str:
        if given and not given.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("expected a URL like redis://host:6379/0")
        return given

    @field_validator("public_url")
    @classmethod
    def _public(cls, given: str) -> str:
        if given:
            _check_url(given)
        return given.rstrip("/")


def check_database_url(given: str) -> None:
    """Raises ValueError, without the URL, when SQLAlchemy cannot use it or its driver is not installed."""
    try:
        make_url(given.replace("postgresql://", "postgresql+psycopg://", 1)).get_dialect().import_dbapi()
    except ModuleNotFoundError:
        raise ValueError("the database driver is not installed; for PostgreSQL install the extra `postgres`") from None
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise ValueError("expected a SQLAlchemy URL, like postgresql://host/database") from None


def _check_url(given: str) -> None:
    if base_of(given) is None:
        raise ValueError("expected an absolute http or https URL without user, query, fragment or dot segments")


def read_settings(environment: Mapping[str, str], **overrides: Any) -> Settings:
    """The settings in `environment`, with `overrides` by field name above them. Raises SettingsError."""
    given = {
        name: environment[variable] for name in Settings.model_fields if (variable := _variable(name)) in environment
    }
    try:
        return Settings.model_validate({**given, **overrides})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        name = _variable(str(first["loc"][0])) if first["loc"] else PREFIX
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None


def unknown_settings(environment: Mapping[str, str]) -> tuple[str, ...]:
    """A warning for each `CDS_*` name that is not a setting, with the nearest known one."""
    known = [_variable(name) for name in Settings.model_fields]
    warnings = []
    for name in sorted(name for name in environment if name.startswith(PREFIX) and name not in known):
        near = difflib.get_close_matches(name, known, n=1)
        warnings.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return tuple(warnings)


def _variable(field: str) -> str:
    return PREFIX + field.upper()
