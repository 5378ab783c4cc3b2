"""Settings: each is refused by its name when it is malformed, and an unknown one is warned of."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cds_service.cli import main
from cds_service.settings import Settings, SettingsError, read_settings, unknown_settings

URLS = [
    "plan.example",
    "ftp://plan.example",
    "https://",
    "//plan.example",
    "https://plan.example?x=1",
    "https://plan.example#x",
    "https://user:secret@plan.example",
    "https://[::1",
    "https://plan.example:99999",
    "https://plan.example/a b",
    "https://plan.example/a/../b",
]
MALFORMED = [
    *(("CDS_PUBLIC_URL", url) for url in URLS),
    *(("CDS_FHIR_SERVERS", f"https://ehr.example/fhir,{url}") for url in URLS),
    ("CDS_AUTH", "yes"),
    ("CDS_AUTH", "OFF"),
    ("CDS_AUTH", ""),
    ("CDS_ALLOW_INSECURE", "maybe"),
    ("CDS_TRUSTED_CLIENTS", "/no/such/file.json"),
    ("CDS_DATA_DIR", ""),
    ("CDS_CA_FILE", "/no/such/file.pem"),
    ("CDS_CA_FILE", __file__),
    ("CDS_AUTHORIZATION", "always"),
    ("CDS_DEFAULT_DIALECT", "2.1"),
    ("CDS_DEADLINE_S", "0"),
    ("CDS_DEADLINE_S", "-1"),
    ("CDS_DEADLINE_S", "61"),
    ("CDS_DEADLINE_S", "nan"),
    ("CDS_DEADLINE_S", "four"),
    ("CDS_MEMBERS", "/no/such/roster.csv"),
    ("CDS_MEMBERS", "nosuchdb://secret@host/db"),
    ("CDS_PAYERS", "/no/such/payers.json"),
    ("CDS_PAYER_LABEL", ""),
    ("CDS_PAYER_LABEL", "  "),
    ("CDS_DATABASE_URL", "sqlite://"),
    ("CDS_DATABASE_URL", "postgresql://u:secret@host/db?passwrd=secret"),
    ("CDS_DATABASE_URL", "postgres/secret"),
    ("CDS_LEDGER_KEYS", "secret"),
    ("CDS_LEDGER_DURABILITY", "half"),
    ("CDS_RETENTION_DAYS", "-1"),
    ("CDS_RETENTION_DAYS", "1000000"),
    ("CDS_CORS_ORIGINS", "*"),
    ("CDS_CORS_ORIGINS", "https://ehr.example/app"),
    ("CDS_BATCH_SERVERS", "ehr.example/secret"),
    ("CDS_REDIS_URL", "http://secret@host"),
    ("CDS_POLICIES_DIR", "/no/such/folder"),
    ("CDS_SMART_CLIENT_ID", ""),
    ("CDS_SMART_AUTH_SERVERS", "sign-in.example"),
    ("CDS_MAX_BODY_BYTES", "0"),
    ("CDS_MAX_BODY_BYTES", "16MB"),
    ("CDS_CLIENT_RATE", "often"),
    ("CDS_ADDRESS_RATE", "0/minute"),
    ("CDS_PROXIES", "-1"),
    ("CDS_SMART_FRAMES", "https://ehr.example/chart"),
    ("CDS_TRACES", "perhaps"),
    ("CDS_WORKERS", "0"),
    ("CDS_WORKERS", "many"),
    ("CDS_THREADS", "100000"),
]


@pytest.mark.parametrize(("name", "value"), MALFORMED)
def test_a_malformed_setting_names_itself(name: str, value: str) -> None:
    """And says what is expected, without repeating what was given: that may hold a password."""
    with pytest.raises(SettingsError) as refused:
        read_settings({name: value})
    message = str(refused.value)
    assert message.startswith(f"{name}: ")
    assert len(message) > len(name) + 10
    assert "secret" not in message
    assert "Value error" not in message
    assert "\n" not in message


def test_every_malformed_setting_that_can_be_is_tried() -> None:
    """A new setting has its malformed values listed here."""
    assert {name for name, _ in MALFORMED} == {f"CDS_{field.upper()}" for field in Settings.model_fields}


def test_without_any_setting_tokens_are_asked_for() -> None:
    """The defaults are the safe ones."""
    settings = read_settings({})
    assert (settings.auth, settings.allow_insecure, settings.fhir_servers) == ("required", False, ())
    assert (settings.default_dialect, settings.authorization, settings.deadline_s) == ("2.2", "guidance", 4.0)
    assert settings.max_body_bytes == 16 * 1024 * 1024


def test_only_the_environment_that_is_given_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own is not looked at behind the caller's back."""
    monkeypatch.setenv("CDS_AUTH", "off")
    monkeypatch.setenv("CDS_WORKERS", "no number")
    assert read_settings({}).auth == "required"


def test_servers_are_separated_by_commas() -> None:
    """Spaces and slashes at the end make no difference, empty places none either."""
    given = " https://a.example/fhir/ , ,https://b.example/fhir,"
    assert read_settings({"CDS_FHIR_SERVERS": given}).fhir_servers == (
        "https://a.example/fhir",
        "https://b.example/fhir",
    )


def test_a_slash_at_the_end_of_the_public_url_makes_no_difference() -> None:
    """Links are put together from it."""
    assert read_settings({"CDS_PUBLIC_URL": "https://plan.example/cds/"}).public_url == "https://plan.example/cds"


def test_overrides_come_before_the_environment() -> None:
    """What a command sets is set."""
    assert read_settings({"CDS_AUTH": "required"}, auth="off").auth == "off"


@pytest.mark.parametrize(
    ("name", "near"),
    [("CDS_AUHT", "CDS_AUTH"), ("CDS_FHIR_SERVER", "CDS_FHIR_SERVERS"), ("CDS_DEADLINE", "CDS_DEADLINE_S")],
)
def test_an_unknown_name_is_warned_of_with_the_nearest_known_one(name: str, near: str) -> None:
    """A slip is found at once."""
    assert unknown_settings({name: "x", "CDS_AUTH": "off"}) == (f"{name} is not a setting; did you mean {near}?",)


def test_an_unknown_name_like_no_other_is_warned_of() -> None:
    """Without a guess; names of other programs are none of ours."""
    assert unknown_settings({"CDS_QQQQ": "x", "PATH": "/bin"}) == ("CDS_QQQQ is not a setting",)


# At start


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Serve":
    """`cds-service serve` without the server itself."""
    return Serve(monkeypatch, tmp_path)


class Serve:
    """Runs the command with some settings; `started` holds the settings that it would have served with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self._monkeypatch = monkeypatch
        self.started: list[tuple[Settings, str, int]] = []
        monkeypatch.setattr("cds_service.server.run", lambda *given: self.started.append(given))
        for name in [name for name in os.environ if name.startswith("CDS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # the command sets it: taken back after the test

    def __call__(self, *arguments: str, **environment: str) -> Result:
        return CliRunner(env=environment).invoke(main, ["serve", *arguments])


def test_a_malformed_setting_ends_the_start(serve: Serve) -> None:
    """With status 2 and one line that names it."""
    found = serve(CDS_DEADLINE_S="soon")
    assert found.exit_code == 2
    assert found.stderr.startswith("CDS_DEADLINE_S: ")
    assert serve.started == []


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "service.example"])  # noqa: S104 - to be refused
def test_without_tokens_only_loopback_is_served(host: str, serve: Serve) -> None:
    """Unless it is said that this is meant."""
    found = serve("--host", host, CDS_AUTH="off")
    assert (found.exit_code, serve.started) == (2, [])
    assert "CDS_AUTH" in found.stderr
    assert "CDS_ALLOW_INSECURE" in found.stderr
    assert serve("--host", host, CDS_AUTH="off", CDS_ALLOW_INSECURE="1").exit_code == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_is_served_without_tokens(host: str, serve: Serve) -> None:
    """For trying things out."""
    assert serve("--host", host, CDS_AUTH="off").exit_code == 0


def test_the_public_url_is_the_port_s_where_none_is_set(serve: Serve) -> None:
    """So that links work on this machine."""
    serve("--port", "8123")
    assert serve.started[0][0].public_url == "http://127.0.0.1:8123"


def test_an_unknown_setting_is_warned_of_at_start(serve: Serve) -> None:
    """And the service starts."""
    found = serve(CDS_AUHT="off")
    assert (found.exit_code, len(serve.started)) == (0, 1)
    assert "warning: CDS_AUHT is not a setting; did you mean CDS_AUTH?" in found.stderr


def test_a_data_folder_that_cannot_be_made_ends_the_start(serve: Serve, tmp_path: Path) -> None:
    """Naming the setting, before any worker starts."""
    (tmp_path / "file").write_text("")
    found = serve(CDS_DATA_DIR=str(tmp_path / "file" / "below"))
    assert (found.exit_code, serve.started) == (2, [])
    assert found.stderr.startswith("CDS_DATA_DIR: ")


def test_a_folder_without_policies_ends_the_start(serve: Serve, tmp_path: Path) -> None:
    """Naming the setting and the file that is missing."""
    found = serve(CDS_POLICIES_DIR=str(tmp_path))
    assert (found.exit_code, serve.started) == (2, [])
    assert found.stderr.startswith("CDS_POLICIES_DIR: ")
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("there", ["metrics", "metrics/counter_1.db/file"])
def test_a_data_folder_that_has_something_else_in_it_ends_the_start(there: str, serve: Serve, tmp_path: Path) -> None:
    """Naming the setting, without a traceback: a file where a folder must be, or a folder where a file must be."""
    (tmp_path / "data" / there).parent.mkdir(parents=True)
    (tmp_path / "data" / there).write_text("")
    found = serve()
    assert (found.exit_code, serve.started) == (2, [])
    assert found.stderr.startswith("CDS_DATA_DIR: ")


@pytest.mark.parametrize("auth", ["off", "required"])
@pytest.mark.parametrize(
    "url",
    ["redis://:secret@host/x", "redis://:secret@host/0?ssl_ca_certs=x", "rediss://:secret@host/0?ssl_secret=1"],
    ids=["no database", "TLS options without TLS", "no such option"],
)
def test_a_redis_url_that_can_never_work_ends_the_start(auth: str, url: str, serve: Serve) -> None:
    """Naming the setting and nothing of the URL, whether tokens are asked for or not: the form has sign-ins to note."""
    pytest.importorskip("redis")
    found = serve(CDS_AUTH=auth, CDS_REDIS_URL=url)
    assert (found.exit_code, serve.started) == (2, [])
    assert "CDS_REDIS_URL: expected" in found.stderr
    assert "secret" not in found.stderr


def test_a_database_url_is_refused_with_its_setting_named_once(serve: Serve) -> None:
    """Once is enough."""
    found = serve(CDS_DATABASE_URL="sqlite:///:memory:")
    assert found.exit_code == 2
    assert found.stderr.count("CDS_DATABASE_URL") == 1
