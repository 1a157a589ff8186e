"""The one page served without TLS: it gives devices the authority's certificate, and nothing else.

A certificate fetched over plain HTTP may have been exchanged on the way, so the page shows its fingerprints.
The same are shown in the terminal in which the server was started.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from html import escape
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.types import ASGIApp, Receive, Scope, Send

from kuaimei.server.https.apple_profile import profile_of
from kuaimei.server.https.authority import Authority
from kuaimei.server.https.install_instructions import CRT, PEM, PROFILE, STEPS, Steps

__all__ = ["certificate_page"]

_STYLE: Final = (
    ":root{color-scheme:light dark;"
    "--paper:#f7f5f1;--ink:#1d1c1a;--soft:#55514a;--line:#e2ddd3;--link:#0d655e}"
    "@media(prefers-color-scheme:dark){:root{"
    "--paper:#161614;--ink:#ece9e2;--soft:#b5b0a5;--line:#353430;--link:#6fd0c1}}"
    "html{background:var(--paper);color:var(--ink)}"
    "body{font:16px/1.7 system-ui,'PingFang TC','Noto Sans TC','Microsoft JhengHei',sans-serif;"
    "max-width:44rem;margin:0 auto;padding:1.5rem 1rem 4rem}"
    "h1{font-size:1.5rem;line-height:1.4}h2{font-size:1.125rem;margin:2rem 0 .5rem}"
    "p,ol,ul{margin:.5rem 0}ol,ul{padding-left:1.5rem}"
    "a{color:var(--link)}[lang=en]{color:var(--soft)}"
    ".get{display:inline-block;padding:.5rem 1rem;border-radius:.75rem;background:#0f766e;color:#fff;"
    "text-decoration:none;font-weight:600}"
    "details{border-top:1px solid var(--line);padding:.75rem 0}"
    "summary{font-weight:600;cursor:pointer}"
    "code{font:.875rem/1.6 ui-monospace,monospace;overflow-wrap:anywhere}"
)
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = (
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
)


def certificate_page(authority: Authority, addresses: Callable[[], Sequence[str]]) -> ASGIApp:
    """Return an application that serves the page and the certificate, to read and to install.

    Args:
        authority: Provides the certificate; its key is not used.
        addresses: Returns the URLs of the server (``https://…``), the best first; called each time.
    """
    certificate = authority.certificate
    files = {
        CRT: ("application/x-x509-ca-cert", certificate.public_bytes(Encoding.DER)),
        PEM: ("application/x-pem-file", certificate.public_bytes(Encoding.PEM)),
        PROFILE: ("application/x-apple-aspen-config", profile_of(authority)),
    }

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send(
                {"type": "websocket.close", "code": 1008, "reason": "only the certificate is available here"}
            )
            return
        if scope["type"] != "http":
            return
        if scope["method"] not in {"GET", "HEAD"}:
            status, kind, body = 405, "text/plain; charset=utf-8", b"Only GET is answered here.\n"
        elif scope["path"] == "/":
            status, kind, body = 200, "text/html; charset=utf-8", _page(authority, addresses()).encode()
        elif scope["path"] in files:
            status, (kind, body) = 200, files[scope["path"]]
        else:
            status, kind, body = 404, "text/plain; charset=utf-8", b"Only / and the certificate are here.\n"
        headers = [*_HEADERS, (b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        if scope["path"] in files:
            name = scope["path"].removeprefix("/").encode()
            headers.append((b"content-disposition", b'attachment; filename="' + name + b'"'))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


def _page(authority: Authority, addresses: Sequence[str]) -> str:
    links = "".join(f'<li><a href="{escape(one)}">{escape(one)}</a></li>' for one in addresses)
    # S303: shown because Windows shows no other; nothing is decided by it.
    short = authority.fingerprint(hashes.SHA1())  # noqa: S303
    return f"""<!doctype html>
<html lang="zh-Hant-TW">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>快美：安裝憑證 · kuaimei: install the certificate</title>
<style>{_STYLE}</style>
<h1>讓這個裝置信任快美<br><span lang="en">Let this device trust kuaimei</span></h1>
<p>瀏覽器只在 https 的網頁開放麥克風。先在這個裝置安裝下面的憑證（每個裝置一次），再開啟快美。</p>
<p lang="en">Browsers allow the microphone on https pages only. Install this certificate once on each
device, then open kuaimei.</p>
<h2>1. 先核對指紋 <span lang="en">Compare the fingerprint first</span></h2>
<p>請管理者唸出啟動伺服器的終端機裡顯示的指紋。<strong>不一樣就不要安裝。</strong></p>
<p lang="en">Ask whoever runs the server to read it out from the terminal in which it was started.
<strong>Do not install it if they differ.</strong></p>
<p>SHA-256<br><code>{authority.fingerprint()}</code></p>
<p>SHA-1<br><code>{short}</code></p>
<h2>2. 安裝憑證 <span lang="en">Install the certificate</span></h2>
{"".join(map(_device, STEPS))}
<h2>3. 開啟快美 <span lang="en">Open kuaimei</span></h2>
<ul>{links}</ul>
<p>這張憑證只能替這台伺服器和私人網路裡的名稱、位址作保，不能用來冒充網際網路上的網站。不再使用快美時，請把它從裝置移除。</p>
<p lang="en">This certificate is valid only for this server and for names and addresses on private networks,
not for sites on the internet. Remove it from the device when you no longer use kuaimei.</p>
</html>
"""


def _device(steps: Steps) -> str:
    chinese = "".join(f"<li>{escape(step)}</li>" for step in steps.chinese)
    english = "".join(f"<li>{escape(step)}</li>" for step in steps.english)
    return (
        f"<details><summary>{escape(steps.device)}</summary>"
        f'<p><a class="get" href="{steps.file}">下載憑證 Download</a></p>'
        f'<ol>{chinese}</ol><ol lang="en">{english}</ol></details>\n'
    )
