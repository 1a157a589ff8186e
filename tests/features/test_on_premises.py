"""Epic 7: nothing leaves, and nobody comes in."""

import asyncio
import base64
import json
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from pydantic import ValidationError
from pytest_bdd import given, parsers, scenarios, then, when
from websockets.asyncio.client import connect

from kuaimei.http.bind import bind_socket
from kuaimei.people.authentication import Authentication
from kuaimei.people.keys import is_key
from kuaimei.server.app import create_app
from kuaimei.server.https.authority import open_authority
from kuaimei.server.https.hostnames import Names
from kuaimei.server.https.serve import Https, open_https, with_own_names
from kuaimei.server.serve import make_server
from kuaimei.settings import ServerSettings, Settings
from kuaimei.store.postgres.embedded_server import EmbeddedPostgres
from kuaimei.store.postgres.postmaster import find_postmaster
from tests.features.real_runtime import RealRuntime
from tests.features.world import World
from tests.integration.cli.test_run_server import Server
from tests.integration.cli.test_run_server import serving as started
from tests.support.server.app_server import KEY, InMemoryRuntime, eventually, make_settings, serving
from tests.support.server.realtime_client import Talk, b64, question

scenarios("on_premises.feature")

Run = Callable[..., "subprocess.CompletedProcess[str]"]
LOOPBACK = {"127.0.0.1", "::1", "localhost", "unix"}
SMALL = "smart-turn"
"""The lightest model there is."""


# Nothing leaves.


@given(parsers.parse("小美對真正的系統說了「{words}」"))
def _(world: World, runtime: RealRuntime, words: str) -> None:
    world.note.turn = runtime.spoken(words)


@then("這段期間程序只連過本機")
def _(world: World) -> None:
    assert "127.0.0.1" in world.note.turn.reached  # it was watched
    assert world.note.turn.reached - LOOPBACK == set()


@given("系統帶著聊天頁面啟動")
def _(world: World, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    world.note.http = world.http(world.serve(page=tmp_path))


@when("瀏覽器打開頁面")
def _(world: World) -> None:
    world.note.policy = world.note.http.get("/").headers["content-security-policy"]


@then("頁面的規定只准載入自己的資源")
def _(world: World) -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in world.note.policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert set(" ".join(rules.values()).split()) <= {"'none'", "'self'", "data:", "blob:"}


# Who may come in.


@pytest.fixture
def new_machine(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Surroundings of the command where nothing was ever started; light models, so that it comes soon."""
    home = tmp_path / "home"
    home.mkdir(0o700)
    (home / "models").symlink_to(Settings().weights_dir)
    kept = {name: value for name, value in environment.items() if name != "KUAIMEI_SERVER__OPEN"}
    light = {"KUAIMEI_ASR": "whisper-base", "KUAIMEI_ENGINES__TTS_RUNTIME": "onnxruntime"}
    yield {**kept, **light, "KUAIMEI_HOME": str(home), "KUAIMEI_VOICE": "zf_xiaoyi"}
    EmbeddedPostgres(home / "postgres", Path(environment["KUAIMEI_STORE__DATABASE_DIR"])).delete()


@pytest.fixture
def first(new_machine: dict[str, str]) -> Iterator[Server]:
    """The first start on it."""
    with started(new_machine) as server:
        yield server


@given("一臺從來沒有啟動過的機器")
def _(world: World, new_machine: dict[str, str]) -> None:
    world.note.home = Path(new_machine["KUAIMEI_HOME"])
    assert not (world.note.home / "key").exists()


@when("啟動系統")
def _(world: World, first: Server) -> None:
    world.note.server = first


@then("印出的網址帶著剛做好的金鑰，只有執行系統的帳號讀得到它")
def _(world: World) -> None:
    world.note.address, _, world.note.key = world.note.server.url.partition("/#key=")
    assert is_key(world.note.key)
    file: Path = world.note.home / "key"
    assert file.read_text().strip() == world.note.key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@then("用那把金鑰進得來，沒有它就進不來")
def _(world: World) -> None:
    shown = {"Authorization": f"Bearer {world.note.key}"}
    for path in ("/api/me", "/api/sessions", "/v1/models", "/metrics"):
        assert httpx.get(world.note.address + path).status_code == 401
        assert httpx.get(world.note.address + path, headers=shown).status_code == 200


@when("停止系統")
def _(world: World) -> None:
    world.note.server.process.send_signal(signal.SIGTERM)


@then("它正常結束，資料庫也停了")
def _(world: World) -> None:
    assert world.note.server.process.wait(60) == 0
    assert find_postmaster(world.note.home / "postgres" / "data") is None


OPEN: dict[str, dict[str, Any]] = {
    "監聽所有位址": {"host": "0.0.0.0"},
    "用別的名字回答": {"allowed_hosts": ("voice.example",)},
    "設一把金鑰": {"api_key": KEY},
}


@given(parsers.parse("設定不用金鑰，卻又{what}"))
def _(world: World, what: str) -> None:
    ServerSettings(open=True)  # which may be had
    world.note.server = {"open": True, **OPEN[what]}


@when("檢查設定")
def _(world: World) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(server=ServerSettings(**world.note.server))
    world.note.told = str(refused.value)


@then("設定被拒絕，說明金鑰與 KUAIMEI_SERVER__OPEN 的關係")
def _(world: World) -> None:
    assert "KUAIMEI_SERVER__OPEN" in world.note.told
    assert "key" in world.note.told.lower()


@given("系統監聽所有位址，沒有設定金鑰")
def _(world: World, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, server=ServerSettings(host="0.0.0.0", port=0))
    runtime = InMemoryRuntime(settings=settings)
    served = world.enter(serving(runtime, authentication=Authentication.of_machine(settings)))
    world.note.http = world.http(served)
    shown = {"Authorization": f"Bearer {(tmp_path / 'key').read_text().strip()}"}
    world.note.keyed = world.http(served, headers=shown)


@then("帶本機那把金鑰的要求得到回答")
def _(world: World) -> None:
    assert world.note.keyed.get("/v1/models").status_code == 200


@given("系統設定不用金鑰")
def _(world: World) -> None:
    world.note.http = world.http(world.serve())


@then("本機的要求得到回答")
def _(world: World) -> None:
    assert world.note.http.get("/v1/models").status_code == 200


@then("經過代理伺服器的要求被拒絕")
def _(world: World) -> None:
    answer = world.note.http.get("/v1/models", headers={"X-Forwarded-For": "192.168.1.77"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "proxy_not_allowed")


@given("系統設了金鑰")
def _(world: World) -> None:
    world.note.served = world.serve(key=KEY)
    world.note.http = world.http(world.note.served)
    world.note.keyed = world.http(world.note.served, headers={"Authorization": f"Bearer {KEY}"})


@then("沒帶金鑰的要求被拒絕")
def _(world: World) -> None:
    for path in ("/v1/models", "/metrics", "/api/sessions", "/api/status", "/nowhere"):
        assert world.note.http.get(path).status_code == 401


@then("帶金鑰的要求得到回答")
def _(world: World) -> None:
    assert world.note.keyed.get("/v1/models").status_code == 200


@then("探測位址不用金鑰")
def _(world: World) -> None:
    assert world.note.http.get("/healthz").status_code == 200


@when("帶著金鑰讀取狀態、指標與介面說明")
def _(world: World) -> None:
    paths = ("/api/status", "/metrics", "/api/openapi.json", "/v1/models", "/")
    answers = [world.note.keyed.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    world.note.texts = [answer.text for answer in answers]


@then("沒有一個回應含有金鑰或資料夾的路徑")
def _(world: World) -> None:
    home = str(world.note.served.runtime.settings.home)
    for text in world.note.texts:
        assert KEY not in text
        assert home not in text
        assert "/somewhere/secret" not in text


@given("系統已經啟動")
def _(world: World) -> None:
    world.note.http = world.http(world.serve())


@when(parsers.parse("送來的要求帶著{header}「{value}」"))
def _(world: World, header: str, value: str) -> None:
    world.note.answer = world.note.http.post("/v1/chat/completions", json={}, headers={header: value})


CODES = {"來自別的網站": "origin_not_allowed", "不是自己的名字": "host_not_allowed"}


@then(parsers.parse("要求被拒絕，因為{reason}"))
def _(world: World, reason: str) -> None:
    assert world.note.answer.status_code in {403, 421}
    assert world.note.answer.json()["error"]["code"] == CODES[reason]


# The official client.


@given("一個沒有改過的 OpenAI 用戶端連上真正的系統")
def _(world: World, runtime: RealRuntime) -> None:
    world.note.client = world.enter(AsyncOpenAI(base_url=f"{runtime.served.url}/v1", api_key="none"))


@then("它列得出載入的模型")
def _(world: World) -> None:
    async def names() -> set[str]:
        return {model.id async for model in world.note.client.models.list()}

    assert {"whisper-base", "kokoro", "qwen2.5-coder-0.5b"} <= world.run(names())


@then("它說出的聲音，自己再轉回文字，意思不變")
def _(world: World) -> None:
    async def there_and_back() -> str:
        speech = await world.note.client.audio.speech.create(
            model="kokoro", voice="zf_xiaoyi", input="今天天氣很好，我們去爬山。", response_format="mp3"
        )
        heard = await world.note.client.audio.transcriptions.create(
            model="whisper-base", file=("said.mp3", speech.read())
        )
        return str(heard.text)

    assert "天氣很好" in world.run(there_and_back())


@then("它問語言模型得到中文回答")
def _(world: World) -> None:
    async def ask() -> str:
        answer = await world.note.client.chat.completions.create(
            model="qwen2.5-coder-0.5b",
            messages=[{"role": "user", "content": "用一句話介紹臺灣。"}],
            max_tokens=24,
        )
        return answer.choices[0].message.content or ""

    assert re.search("[\u4e00-\u9fff]", world.run(ask()))


@given("一個沒有改過的 OpenAI 用戶端連上系統")
def _(world: World) -> None:
    world.note.client = world.enter(world.serve().client())


@when("它即時說一句話")
def _(world: World) -> None:
    async def talk() -> list[Any]:
        events = []
        async with world.note.client.realtime.connect(model="kuaimei") as connection:
            await connection.input_audio_buffer.append(audio=b64(question()))
            async for event in connection:
                events.append(event)
                if event.type == "response.done":
                    break
        return events

    world.note.events = world.run(talk())


@then("它收到逐字稿、回答的文字與聲音，然後是結束")
def _(world: World) -> None:
    events = world.note.events
    heard = [
        e.transcript for e in events if e.type == "conversation.item.input_audio_transcription.completed"
    ]
    assert heard == ["你好嗎"]
    assert "".join(e.delta for e in events if e.type == "response.output_audio_transcript.delta")
    assert b"".join(base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta")
    assert events[-1].response.status == "completed"


# What is broken, and too large.


@given("小美連上系統", target_fixture="talk")
def _(world: World) -> Talk:
    return world.talk(world.serve())


def _typed(text: str) -> str:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return json.dumps({"type": "conversation.item.create", "item": item})


MESSAGES = {
    "不完整的 JSON": "{",
    "不認得的事件": json.dumps({"type": "make.coffee"}),
    "半個字元": _typed("你\ud83d好"),
    "含 NUL 的文字": _typed("你\x00好"),
}


@given("小美連上保存對話的系統", target_fixture="talk")
def _(world: World, settings: Settings) -> Talk:
    served, world.note.store = world.serve_keeping(settings)
    return world.talk(served)


@then("之後說的都保存了，沒有一句在等")
def _(world: World) -> None:
    async def kept() -> list[str | None]:
        store = world.note.store
        assert await store.flush()
        statistics = await store.statistics()
        assert (statistics.unsaved, statistics.failures, statistics.broken) == (0, 0, 0)
        (session,) = await store.sessions()
        return [one.transcript for one in await store.utterances(session.id) if one.speaker == "user"]

    assert world.run(kept()) == ["你好嗎"]


@when(parsers.parse("她的程式送出{what}"))
def _(world: World, talk: Talk, what: str) -> None:
    world.run(talk.socket.send(MESSAGES[what]))


@then(parsers.parse("她收到錯誤「{code}」"))
def _(world: World, talk: Talk, code: str) -> None:
    assert world.run(talk.error())["code"] == code


@then("同一個連線還能對話")
def _(world: World, talk: Talk) -> None:
    world.run(talk.ask())
    assert world.run(talk.until("response.done"))["response"]["status"] == "completed"


@given("系統只收 1 MB 以內的內容", target_fixture="talk")
def _(world: World) -> Talk:
    world.note.served = world.serve(max_body_mb=1)
    return world.talk(world.note.served)


@when("有程式送來 3 MB 的檔案")
def _(world: World) -> None:
    files = {"file": ("a.wav", b"\0" * (3 * 1024 * 1024))}
    world.note.answer = world.http(world.note.served).post("/v1/audio/transcriptions", files=files)


@then("它被告知太大")
def _(world: World) -> None:
    assert world.note.answer.status_code == 413
    assert world.note.answer.json()["error"]["code"] == "content_too_large"


@then("小美照常對話")
def _(world: World, talk: Talk) -> None:
    world.run(talk.ask())
    assert world.run(talk.until("response.done"))["response"]["status"] == "completed"


# HTTPS by an authority of its own.


@asynccontextmanager
async def _secure(settings: Settings) -> AsyncIterator[tuple[Https, int]]:
    """As ``kuaimei serve --https`` does it; and where it listens."""
    settings = with_own_names(settings)
    with bind_socket(settings.server) as listening:
        async with open_https(settings, listening) as secure:
            server = make_server(
                create_app(InMemoryRuntime(settings=settings)), settings.server, secure.context
            )
            running = asyncio.ensure_future(server.serve(sockets=[listening.dup()]))
            await eventually(lambda: server.started or running.done())
            try:
                yield secure, listening.getsockname()[1]
            finally:
                server.should_exit = True
                await running


@given("系統在區域網路上用 HTTPS 啟動")
def _(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "box")
    settings = world.note.settings = make_settings(home=tmp_path, https=True, host="0.0.0.0", key=KEY)
    world.note.secure, world.note.port = world.enter(_secure(settings))


@when("手機從憑證頁取得憑證")
def _(world: World) -> None:
    page = world.note.secure.pages[0].rpartition(":")[2]
    pem = httpx.get(f"http://127.0.0.1:{page}/kuaimei.pem").text
    world.note.certificate = ssl.PEM_cert_to_DER_cert(pem)
    world.note.trusting = ssl.create_default_context(cadata=pem)


@then("它的指紋就是啟動時印出的那一個")
def _(world: World) -> None:
    announced = world.note.secure.announcement().replace(":", "")
    assert sha256(world.note.certificate).hexdigest().upper() in announced


def _open(world: World, trusting: ssl.SSLContext, path: str, **headers: str) -> httpx.Response:
    """Ask for it as a phone does that was given the address of box.local."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as phone:
            return await phone.get(
                f"https://127.0.0.1:{world.note.port}{path}",
                headers={"Host": f"box.local:{world.note.port}", **headers},
                extensions={"sni_hostname": "box.local"},
            )

    return world.run(ask())


@then("手機用 box.local 帶著金鑰可以對話")
def _(world: World) -> None:
    shown = {"Authorization": f"Bearer {KEY}"}
    assert _open(world, world.note.trusting, "/v1/models", **shown).status_code == 200

    async def greeted() -> str:
        conversing = connect(
            f"wss://box.local:{world.note.port}/v1/realtime",
            host="127.0.0.1",
            port=world.note.port,
            ssl=world.note.trusting,
            server_hostname="box.local",
            additional_headers=shown,
            proxy=None,
        )
        async with conversing as conversation:
            kind: str = json.loads(await conversation.recv())["type"]
            return kind

    assert world.run(greeted()) == "session.created"


@then("沒裝憑證的手機連不上")
def _(world: World) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        _open(world, ssl.create_default_context(), "/healthz")


@then("手機沒有金鑰就進不來")
def _(world: World) -> None:
    assert _open(world, world.note.trusting, "/healthz").status_code == 200
    assert _open(world, world.note.trusting, "/v1/models").status_code == 401


@when("有人偷了憑證機構，替 bank.example 簽了一張憑證")
def _(world: World, tmp_path: Path) -> None:
    bank, now = Names(("bank.example", "box.local"), ()), datetime.now(UTC)
    stolen = open_authority(world.note.settings.home / "https", Names((), ()), now)
    shown = tmp_path / "bank.pem"
    shown.write_bytes(stolen.issue(bank, now))
    world.note.shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    world.note.shown.load_cert_chain(shown)


@then("手機不相信那張憑證")
def _(world: World) -> None:
    async def deceived() -> None:
        async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(met, "127.0.0.1", 0, ssl=world.note.shown) as bank:
            port = bank.sockets[0].getsockname()[1]
            await asyncio.open_connection(
                "127.0.0.1", port, ssl=world.note.trusting, server_hostname="bank.example"
            )

    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        world.run(deceived())


# Weights.


@when("列出所有模型")
def _(world: World, kuaimei: Run) -> None:
    world.note.models = json.loads(kuaimei("models", "list", "--json").stdout)["models"]


@then("每個模型都寫著授權、大小與來源")
def _(world: World) -> None:
    assert len(world.note.models) > 5
    for model in world.note.models:
        assert model["licence"]
        assert model["size"] > 0
        assert model["sources"]


@given("從另一臺機器複製來的權重資料夾")
def _(world: World, tmp_path: Path) -> None:
    source = Settings().weights_dir / SMALL
    shutil.copytree(source, tmp_path / "models" / SMALL)
    world.note.home = tmp_path


@then("驗證通過")
def _(world: World, kuaimei: Run) -> None:
    told = kuaimei("models", "verify", SMALL, KUAIMEI_HOME=str(world.note.home)).stderr
    assert f"{SMALL}: ok" in told


@when("其中一個檔案壞了一個位元組")
def _(world: World) -> None:
    largest = max((world.note.home / "models" / SMALL).iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)


@then("驗證指出是哪一個模型")
def _(world: World, kuaimei: Run) -> None:
    home = str(world.note.home)
    told = kuaimei("models", "verify", SMALL, status=1, KUAIMEI_HOME=home).stderr
    assert f"kuaimei models pull --again {SMALL}" in told
