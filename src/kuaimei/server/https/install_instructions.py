"""Instructions for each kind of device to trust the server, in Chinese and English."""

from dataclasses import dataclass
from typing import Final

__all__ = ["CRT", "PEM", "PROFILE", "STEPS", "Steps"]

CRT: Final = "/kuaimei.crt"
PEM: Final = "/kuaimei.pem"
PROFILE: Final = "/kuaimei.mobileconfig"

_DEBIAN: Final = (
    "sudo cp kuaimei.pem /usr/local/share/ca-certificates/kuaimei.crt && sudo update-ca-certificates"
)


@dataclass(frozen=True, slots=True)
class Steps:
    """Instructions for one kind of device.

    Attributes:
        device: Its name.
        file: What it installs, one of the paths above.
        chinese: Steps, in order.
        english: The same.
    """

    device: str
    file: str
    chinese: tuple[str, ...]
    english: tuple[str, ...]


STEPS: Final = (
    Steps(
        "iPhone, iPad",
        PROFILE,
        (
            "用 Safari 開這個頁面，下載憑證，按「允許」。",
            "設定 → 一般 → VPN 與裝置管理 → 快美 kuaimei → 安裝。",
            "設定 → 一般 → 關於本機 → 憑證信任設定 → 打開「快美 kuaimei」。少了這一步就不會生效。",
        ),
        (
            "Open this page in Safari, download the certificate and press Allow.",
            "Settings → General → VPN & Device Management → 快美 kuaimei → Install.",
            "Settings → General → About → Certificate Trust Settings → switch on 快美 kuaimei. "
            "Without this step it has no effect.",
        ),
    ),
    Steps(
        "Android",
        CRT,
        (
            "下載憑證。",
            "設定 → 安全性與隱私權 → 更多安全性設定 → 加密與憑證 → 安裝憑證 → CA 憑證 → 仍要安裝，"
            "選剛才下載的檔案。"
            "各廠牌的名稱略有不同，可以在設定裡搜尋「憑證」。",
            "用 Chrome 開啟快美。（Android 版 Firefox 不採用裝置上的憑證。）",
        ),
        (
            "Download the certificate.",
            "Settings → Security & privacy → More security settings → Encryption & credentials → Install a "
            "certificate → CA certificate → Install anyway, and choose the file. The names vary by "
            "manufacturer: search the settings for “certificate”.",
            "Open kuaimei in Chrome. (Firefox for Android does not use the device's certificates.)",
        ),
    ),
    Steps(
        "Windows",
        CRT,
        (
            "下載憑證，開啟檔案 → 安裝憑證 → 目前使用者。",
            "選「將所有憑證放入以下的存放區」→ 瀏覽 → 受信任的根憑證授權單位 → 完成。",
            "在警告裡核對指紋（SHA-1），一樣才按「是」。",
        ),
        (
            "Download the certificate, open the file → Install Certificate → Current User.",
            "Choose “Place all certificates in the following store” → Browse → Trusted Root Certification "
            "Authorities → Finish.",
            "Compare the fingerprint (SHA-1) in the warning, and press Yes only if it is the same.",
        ),
    ),
    Steps(
        "macOS",
        CRT,
        (
            "下載憑證，開啟檔案，加到「登入」鑰匙圈。",
            "在「鑰匙圈存取」裡打開「快美 kuaimei」→ 信任 → 使用此憑證時：永遠信任。",
        ),
        (
            "Download the certificate, open the file and add it to the login keychain.",
            "In Keychain Access open 快美 kuaimei → Trust → When using this certificate: Always Trust.",
        ),
    ),
    Steps(
        "Linux",
        PEM,
        (
            "Chrome：設定 → 隱私權和安全性 → 安全性 → 管理憑證 → 自訂 → 由你安裝 → 信任的憑證 → 匯入。",
            f"整個系統（Debian、Ubuntu）：{_DEBIAN}",
        ),
        (
            "Chrome: Settings → Privacy and security → Security → Manage certificates → Custom → Installed "
            "by you → Trusted Certificates → Import.",
            f"The whole system (Debian, Ubuntu): {_DEBIAN}",
        ),
    ),
    Steps(
        "Firefox",
        PEM,
        (
            "下載憑證。設定 → 隱私權與安全性 → 憑證 → 檢視憑證 → 憑證機構 → 匯入，"
            "勾選「信任此憑證機構以識別網站」。",
        ),
        (
            "Download the certificate. Settings → Privacy & Security → Certificates → View Certificates → "
            "Authorities → Import, and tick “Trust this CA to identify websites”.",
        ),
    ),
)
