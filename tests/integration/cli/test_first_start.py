"""The first start: a key is made by itself, printed with the address, and asked for."""

import re
import stat
from pathlib import Path

import httpx
import pytest

from tests.integration.cli.test_run_server import serving

pytestmark = [pytest.mark.models, pytest.mark.timeout(600)]


def test_a_key_is_made_and_needed(environment: dict[str, str], home: Path) -> None:
    closed = {name: value for name, value in environment.items() if name != "KUAIMEI_SERVER__OPEN"}
    with serving(closed) as server:
        address, mark, key = server.url.partition("/#key=")
        assert mark
        assert re.fullmatch(r"km_[0-9a-hj-km-np-tv-z]{32}", key)
        assert (home / "key").read_text().strip() == key
        assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
        with httpx.Client(base_url=address, timeout=30) as strangers:
            assert strangers.get("/").status_code == 200  # the page, on which one is asked for it
            for path in ("/api/sessions", "/metrics", "/v1/models", "/api/me"):
                assert strangers.get(path).status_code == 401
            shown = {"Authorization": f"Bearer {key}"}
            told = strangers.get("/api/me", headers=shown).json()
            assert (told["id"], told["role"], told["via"]) == ("local", "operator", "machine_key")
            text = strangers.get("/metrics", headers=shown).text
            assert 'kuaimei_refused_total{reason="no_key"} 4.0' in text
    with serving(closed) as again:
        assert again.url.endswith(f"/#key={key}")
    with serving(environment) as opened:
        assert "#" not in opened.url
        assert httpx.get(f"{opened.url}/api/me").json()["via"] == "open"
        forwarded = httpx.get(f"{opened.url}/api/sessions", headers={"X-Forwarded-For": "192.168.1.77"})
        assert forwarded.json()["error"]["code"] == "proxy_not_allowed"
