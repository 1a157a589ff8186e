// Runs before the first paint, so that the dark scheme begins without a white flash.
(function () {
  var root = document.documentElement;
  var scheme = "auto";
  try {
    scheme = JSON.parse(localStorage.getItem("kuaimei.preferences") || "{}").scheme || "auto";
  } catch (_) {
    // Storage may be forbidden or spoilt: the system's choice holds.
  }
  var dark = scheme === "dark" || (scheme === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  root.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
// A key in the address leaves it at once: the address is what people copy, photograph and bookmark.
// Where nothing can be stored it stays until the page's own script (src/api/key.ts) takes it into memory.
(function () {
  var found = /[#&]key=([^&]+)/.exec(location.hash);
  if (!found) return;
  try {
    var key = decodeURIComponent(found[1]);
    if (/^[\x21-\x7e]+$/.test(key)) {
      // What no header can carry is no key.
      sessionStorage.setItem("kuaimei.key", key);
      sessionStorage.setItem("kuaimei.key_from_address", "1");
    }
  } catch (_) {
    return;
  }
  var rest = location.hash.replace(/([#&])key=[^&]+&?/, "$1").replace(/[#&]$/, "");
  history.replaceState(history.state, "", location.pathname + location.search + rest);
})();
