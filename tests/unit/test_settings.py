"""Where settings come from, and which of two that contradict each other is obeyed."""

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from kuaimei.errors import SettingsError
from kuaimei.settings import ServerSettings, Settings, is_loopback

KEY = "a-key-of-some-length"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The data folder, and another one in which the program is started."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("KUAIMEI_HOME", str(home))
    monkeypatch.delenv("KUAIMEI_CONFIG", raising=False)
    monkeypatch.chdir(here)
    return home, here


def test_the_file_in_the_data_folder_is_read(folders: tuple[Path, Path]) -> None:
    (folders[0] / "kuaimei.toml").write_text('voice = "kept"\n[server]\nmax_sessions = 3\n')
    settings = Settings()
    assert (settings.voice, settings.server.max_sessions) == ("kept", 3)


def test_also_if_the_folder_is_an_argument(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "kuaimei.toml").write_text('voice = "given"\n')
    (folders[0] / "kuaimei.toml").write_text('voice = "kept"\n')
    assert Settings(home=tmp_path).voice == "given"


def test_the_nearer_wins_and_the_rest_stays(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders[0] / "kuaimei.toml").write_text('voice = "kept"\n[server]\nmax_sessions = 3\nmax_waiting = 4\n')
    named = tmp_path / "named.toml"
    named.write_text('voice = "named"\n[server]\nmax_sessions = 5\n')
    monkeypatch.setenv("KUAIMEI_CONFIG", str(named))
    settings = Settings()
    assert (settings.voice, settings.server.max_sessions, settings.server.max_waiting) == ("named", 5, 4)
    monkeypatch.setenv("KUAIMEI_VOICE", "environment")
    assert Settings().voice == "environment"
    assert Settings(voice="argument").voice == "argument"


def test_a_named_file_may_say_where_the_data_folder_is(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUAIMEI_HOME")
    named = tmp_path / "named.toml"
    named.write_text(f'home = "{tmp_path}"\n')
    (tmp_path / "kuaimei.toml").write_text('voice = "there"\n')
    monkeypatch.setenv("KUAIMEI_CONFIG", str(named))
    settings = Settings()
    assert (settings.home, settings.voice) == (tmp_path, "there")


def test_a_named_file_that_is_not_there_is_told(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUAIMEI_CONFIG", "nowhere.toml")
    with pytest.raises(SettingsError, match=r"nowhere\.toml"):
        Settings()


def test_a_file_in_the_working_directory_is_not_read_and_that_is_told_once(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    (folders[1] / "kuaimei.toml").write_text('llm = "http://evil.example/v1"\n[voices]\npython = "/tmp/x"\n')
    with caplog.at_level(logging.WARNING, "kuaimei"):
        settings = [Settings(), Settings()]
    assert [(s.llm, s.voices.python) for s in settings] == [("qwen2.5-coder-1.5b", "")] * 2
    (told,) = [record.getMessage() for record in caplog.records]
    assert str(folders[1]) in told
    assert "--config" in told


def test_the_data_folder_may_be_the_working_directory(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (folders[0] / "kuaimei.toml").write_text('voice = "kept"\n')
    monkeypatch.chdir(folders[0])
    assert Settings().voice == "kept"
    assert not caplog.records


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("short-key", "at least 16 characters"),
        ("aaaaaaaaaaaaaaaa", "8 of them different"),
        ("a key with spaces in it", "no spaces"),
        (" a-key-of-some-length", "no spaces"),
        ("鑰匙鑰匙鑰匙鑰匙鑰匙鑰匙鑰匙鑰匙", "letters, digits"),
        ("Zm9vYmFyYmF6cXV4Cg==", "letters, digits"),  # base64: no WebSocket subprotocol
        ("foo/bar/baz/qux/12", "letters, digits"),
        ("key@example,com=12", "letters, digits"),
    ],
)
def test_keys_that_cannot_be_shown_or_can_be_guessed_are_refused(key: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told) as refused:
        ServerSettings.model_validate({"api_key": key})
    assert "openssl rand -hex 24" in str(refused.value)
    assert key.strip() not in str(refused.value).partition("[type=")[0]


@pytest.mark.parametrize("key", ["", KEY, "0123456789abcdef", "!#$%&'*+-.^_`|~Az9"])
def test_keys_that_can(key: str) -> None:
    assert ServerSettings.model_validate({"api_key": key}).api_key.get_secret_value() == key


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"identity_header": "X-User"}, "must be set together"),
        ({"trusted_proxies": ["10.0.0.7"]}, "must be set together"),
        ({"identity_header": "X User", "trusted_proxies": ["10.0.0.7"]}, "not a header name"),
        ({"identity_header": "Authorization", "trusted_proxies": ["10.0.0.7"]}, "another meaning"),
        ({"identity_header": "X-User", "trusted_proxies": ["10.0.0.7/8"]}, "not an address or network"),
        ({"identity_header": "X-User", "trusted_proxies": ["proxy.lan"]}, "not an address or network"),
        ({"allowed_hosts": ["talk.example/"]}, "not a host name"),
    ],
)
def test_what_contradicts_is_refused(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ServerSettings.model_validate(given)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_names_of_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "talk.example", "localhost.example", ""])
def test_names_by_which_others_come(host: str) -> None:
    assert not is_loopback(host)
