// Before the first paint, so that nobody who chose the dark sees a white flash.
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
