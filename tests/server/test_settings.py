"""Settings: defaults, and every wrong one named without showing a secret."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from server.connections import ConnectionBounds
from server.settings import BadSettings, read_settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("TRUNKLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_defaults(tmp_path: Path) -> None:
    settings = read_settings()
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/.trunkline/trunkline.db"
    assert settings.database_path == tmp_path / ".trunkline" / "trunkline.db"
    assert (settings.host, settings.port) == ("127.0.0.1", 8787)
    assert set(settings.hosts) == {"localhost", "127.0.0.1", "[::1]"}
    assert settings.allowed_origins == ()
    assert settings.private_networks == "allow"
    assert settings.log_format == "console"
    assert settings.websocket_compression is False
    assert settings.address(8787) == "http://127.0.0.1:8787"


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_PORT", "9000")
    monkeypatch.setenv("TRUNKLINE_HOST", "")
    monkeypatch.setenv("TRUNKLINE_ALLOWED_HOSTS", "trunkline.example, localhost:9000,")
    monkeypatch.setenv("TRUNKLINE_ALLOWED_ORIGINS", "https://a.example,http://localhost:5173")
    settings = read_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 9000)
    assert settings.hosts == ("trunkline.example", "localhost:9000")
    assert settings.allowed_origins == ("https://a.example", "http://localhost:5173")


def test_flags_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_PORT", "9000")
    monkeypatch.setenv("TRUNKLINE_DATABASE_URL", "sqlite+aiosqlite:////a.db")
    settings = read_settings(port=9001, database_url="sqlite+aiosqlite:////b.db", host=None)
    assert settings.port == 9001
    assert settings.database_url == "sqlite+aiosqlite:////b.db"


@pytest.mark.parametrize(
    ("host", "url", "allowed"),
    [
        ("0.0.0.0", "http://127.0.0.1:1", None),
        ("::", "http://[::1]:1", None),
        ("::1", "http://[::1]:1", "[::1]"),
        ("[::1]", "http://[::1]:1", "[::1]"),
        ("10.0.0.5", "http://10.0.0.5:1", "10.0.0.5"),
    ],
)
def test_what_is_bound_is_a_name_of_ours(host: str, url: str, allowed: str | None) -> None:
    settings = read_settings(host=host)
    assert settings.address(1) == url
    assert "0.0.0.0" not in settings.hosts
    if allowed is not None:
        assert allowed in settings.hosts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUNKLINE_PORT", "abc"),
        ("TRUNKLINE_PORT", "70000"),
        ("TRUNKLINE_PORT", "-1"),
        ("TRUNKLINE_PORT", "tcp://10.0.0.1:8787"),
        ("TRUNKLINE_HOST", "http://localhost"),
        ("TRUNKLINE_HOST", " "),
        ("TRUNKLINE_LOG_FORMAT", "xml"),
        ("TRUNKLINE_PRIVATE_NETWORKS", "maybe"),
        ("TRUNKLINE_DATABASE_URL", "mysql://root:hunter2@h/db"),
        ("TRUNKLINE_DATABASE_URL", "sqlite+aiosqlite://"),
        ("TRUNKLINE_DATABASE_URL", "sqlite+aiosqlite:///:memory:"),
        ("TRUNKLINE_DATABASE_URL", "sqlite+aiosqlite:///file:x?mode=memory"),
        ("TRUNKLINE_BUS_URL", "127.0.0.1:6379"),
        ("TRUNKLINE_BUS_URL", "amqp://user:hunter2@host"),
        ("TRUNKLINE_BUS_URL", "redis://"),
        ("TRUNKLINE_BUS_URL", "redis://user:hunter2@"),
        ("TRUNKLINE_BUS_URL", "redis://:hunter2@host:port"),
        ("TRUNKLINE_BUS_URL", "rediss://:hunter2@host:99999"),
        ("TRUNKLINE_BUS_URL", "redis://:hunter2@[::1"),
        ("TRUNKLINE_BUS_URL", "unix://"),
        ("TRUNKLINE_EVENT_RETENTION_DAYS", "0"),
        ("TRUNKLINE_EVENT_RETENTION_DAYS", "-1"),
        ("TRUNKLINE_EVENT_RETENTION_DAYS", "1.5"),
        ("TRUNKLINE_EVENT_RETENTION_DAYS", "a month"),
        ("TRUNKLINE_EVENT_RETENTION_DAYS", "36501"),
        ("TRUNKLINE_WEBSOCKET_COMPRESSION", "sometimes"),
        ("TRUNKLINE_MOST_AGENTS", "0"),
        ("TRUNKLINE_PROVIDER_CONCURRENCY", "0"),
        ("TRUNKLINE_PROVIDER_CONCURRENCY", "10001"),
        ("TRUNKLINE_MOST_AGENTS", "many"),
        ("TRUNKLINE_MOST_AGENTS", "1000001"),
        ("TRUNKLINE_COMPILED", "perhaps"),
        ("TRUNKLINE_ADMIN_TOKEN", "hunter2"),
        ("TRUNKLINE_ADMIN_TOKEN", "hunter2 hunter2 hunter2"),
        ("TRUNKLINE_ALLOWED_HOSTS", "https://trunkline.example"),
        ("TRUNKLINE_ALLOWED_HOSTS", "*.example"),
        ("TRUNKLINE_ALLOWED_ORIGINS", "dashboard.example"),
        ("TRUNKLINE_ALLOWED_ORIGINS", "https://dashboard.example/path"),
        ("TRUNKLINE_ALLOWED_ORIGINS", "https://dashboard.example,*"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings, match=f"^{name}: ") as caught:
        read_settings()
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "msgspec" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "on"),
    [("on", True), (" ON ", True), ("true", True), ("1", True), ("Yes", True), ("off", False),
     ("False", False), ("0", False), ("no", False)],
)  # fmt: skip
def test_switches(monkeypatch: pytest.MonkeyPatch, value: str, on: bool) -> None:
    monkeypatch.setenv("TRUNKLINE_WEBSOCKET_COMPRESSION", value)
    assert read_settings().websocket_compression is on


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "\udcff", "0x10", "9" * 400])
def test_what_is_no_number_of_seconds(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TRUNKLINE_SHUTDOWN_SECONDS", value)
    with pytest.raises(BadSettings, match="give seconds from 0 to 3600"):
        read_settings()
    monkeypatch.setenv("TRUNKLINE_SHUTDOWN_SECONDS", " 2.5 ")
    assert read_settings().shutdown_seconds == 2.5


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALLOWED_ORIGINS", "https://", "give origins separated by commas"),
        ("ALLOWED_ORIGINS", "http://[::1", "give origins separated by commas"),
        ("ALLOWED_HOSTS", "[::1", "give host names separated by commas"),
    ],
)
def test_what_is_no_host_says_what_to_give(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"TRUNKLINE_{name}", value)
    with pytest.raises(BadSettings, match=f"^TRUNKLINE_{name}: {said}"):
        read_settings()


def test_an_origin_is_taken_as_browsers_send_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_ALLOWED_ORIGINS", "https://Dashboard.Example,HTTP://localhost:1")
    assert read_settings().allowed_origins == ("https://dashboard.example", "http://localhost:1")


def test_a_flag_that_is_no_setting_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="colour"):
        read_settings(colour="blue")


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_PORT", "abc")
    monkeypatch.setenv("TRUNKLINE_LOG_FORMAT", "xml")
    with pytest.raises(BadSettings) as caught:
        read_settings()
    assert "TRUNKLINE_PORT: give a port number" in str(caught.value)
    assert "TRUNKLINE_LOG_FORMAT: give `console` or `json`" in str(caught.value)


def test_postgresql_needs_a_secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+asyncpg://u:hunter2@h/db"
    with pytest.raises(BadSettings, match="TRUNKLINE_SECRET_KEYS") as caught:
        read_settings(database_url=url)
    assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("TRUNKLINE_SECRET_KEYS", "hunter3")
    settings = read_settings(database_url=url)
    assert settings.database_path is None
    for shown in (repr(settings), str(settings)):
        assert "hunter" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1",
        "rediss://user:hunter2@redis.example:6380/2",
        "redis://[::1]:6379",
        "unix:///run/redis.sock",
    ],
)
def test_a_bus_url_is_taken_and_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert read_settings().bus_url is None
    monkeypatch.setenv("TRUNKLINE_BUS_URL", url)
    settings = read_settings()
    assert settings.bus_url is not None
    assert settings.bus_url.reveal() == url
    assert "hunter2" not in repr(settings)


def test_what_bounds_connections_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().connection_bounds == ConnectionBounds()
    for name, value in {
        "HEAD_SECONDS": "0.5",
        "KEEP_ALIVE_SECONDS": "75",
        "SEND_SECONDS": "30",
        "MOST_CONNECTIONS": "100",
        "MOST_CONNECTIONS_PER_ADDRESS": "10",
    }.items():
        monkeypatch.setenv(f"TRUNKLINE_{name}", value)
    assert read_settings().connection_bounds == ConnectionBounds(0.5, 75.0, 100, 10, 30.0)


@pytest.mark.parametrize("name", ["a?b", "50%41", "a#b", "\udcff", "a b", ":memory:x", "a@b:c"])
def test_the_database_is_in_the_data_directory_whatever_that_is_called(
    tmp_path: Path, name: str
) -> None:
    settings = read_settings(data_dir=tmp_path / name)
    file = tmp_path / name / "trunkline.db"
    assert settings.database_path == file
    assert make_url(settings.database_url).database == str(file)
    again = read_settings(database_url=settings.database_url.replace(":memory:", "x"))
    assert again.database_path == Path(str(file).replace(":memory:", "x"))


@pytest.mark.parametrize("path", ["", ".", "/", "a%00b", "%2F"])
def test_a_database_needs_a_name_that_a_file_may_have(path: str) -> None:
    with pytest.raises(BadSettings, match=r"TRUNKLINE_DATABASE_URL: SQLite needs a file"):
        read_settings(database_url=f"sqlite+aiosqlite:///{path}")
