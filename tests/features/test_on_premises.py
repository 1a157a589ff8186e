"""Epic 7: nothing leaves, and nobody comes in."""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic import ValidationError
from pytest_bdd import given, parsers, scenarios, then, when

from kuaimei.settings import ServerSettings, Settings
from tests.features.real_house import RealHouse
from tests.features.world import World
from tests.integration.server.serving import KEY
from tests.integration.server.talking import Talk, b64, question

scenarios("on_premises.feature")

Run = Callable[..., "subprocess.CompletedProcess[str]"]
LOOPBACK = {"127.0.0.1", "::1", "localhost", "unix"}
SMALL = "smart-turn"
"""The lightest model there is."""


# Nothing leaves.


@given(parsers.parse("小美對真正的系統說了「{words}」"))
def _(world: World, house: RealHouse, words: str) -> None:
    world.note.turn = house.spoken(words)


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


@given("設定監聽所有位址，但沒有金鑰")
def _(world: World) -> None:
    world.note.server = {"host": "0.0.0.0", "open": True}


@when("檢查設定")
def _(world: World) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(server=ServerSettings(**world.note.server))
    world.note.told = str(refused.value)


@then("設定被拒絕，說明要設 KUAIMEI_SERVER__API_KEY")
def _(world: World) -> None:
    assert "KUAIMEI_SERVER__API_KEY" in world.note.told


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
    home = str(world.note.served.house.settings.home)
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
def _(world: World, house: RealHouse) -> None:
    world.note.client = world.enter(AsyncOpenAI(base_url=f"{house.served.url}/v1", api_key="none"))


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


@when(parsers.parse("她的程式送出{what}"))
def _(world: World, talk: Talk, what: str) -> None:
    text = {"不完整的 JSON": "{", "不認得的事件": json.dumps({"type": "make.coffee"})}[what]
    world.run(talk.socket.send(text))


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
    assert "as it should be" in told


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
