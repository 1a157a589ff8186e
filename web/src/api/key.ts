/**
 * The key this browser shows to the server, and where it is kept.
 *
 * It lasts as long as the tab, unless the person has asked for this device to be remembered.
 */

const NAME = "kuaimei.key"; // public/before-paint.js writes it too
const FROM_ADDRESS = "kuaimei.key_from_address"; // and this
const REMEMBERED = "kuaimei.remembered_key";
/** What a header and a WebSocket subprotocol can carry. */
const SENDABLE = /^[\x21-\x7e]+$/;

/** Where the browser stores nothing, the key lasts as long as the page. */
let held = "";
let heldFromAddress = false;

function attempt<T>(use: () => T, otherwise: T): T {
  try {
    return use();
  } catch {
    return otherwise;
  }
}

/** The key in force; empty: there is none. */
export function apiKey(): string {
  const stored = attempt(() => sessionStorage.getItem(NAME) ?? localStorage.getItem(REMEMBERED), null);
  return stored ?? held;
}

/** Whether this device is remembered with the key in force. */
export function isRemembered(): boolean {
  return attempt(() => localStorage.getItem(REMEMBERED) === apiKey(), false);
}

/**
 * Keep a key.
 *
 * @param remember Beyond this tab, until somebody signs out.
 */
export function keepKey(key: string, remember: boolean): void {
  heldFromAddress = false;
  held = attempt(() => {
    sessionStorage.removeItem(FROM_ADDRESS);
    sessionStorage.setItem(NAME, key);
    if (remember) localStorage.setItem(REMEMBERED, key);
    else localStorage.removeItem(REMEMBERED);
    return "";
  }, key);
}

/** Forget the key, and nothing else. */
export function dropKey(): void {
  held = "";
  heldFromAddress = false;
  attempt(() => {
    sessionStorage.removeItem(NAME);
    sessionStorage.removeItem(FROM_ADDRESS);
    localStorage.removeItem(REMEMBERED);
  }, undefined);
}

/** Forget a key that the server refuses; true: this device is remembered with another one. */
export function dropRefusedKey(): boolean {
  const refused = apiKey();
  const remembered = attempt(() => localStorage.getItem(REMEMBERED), null);
  dropKey();
  if (remembered === null || remembered === refused) return false;
  attempt(() => localStorage.setItem(REMEMBERED, remembered), undefined);
  return true;
}

/** Whether the key came with the address; asked once, the answer is no from then on. */
export function cameWithAddress(): boolean {
  const stored = attempt(() => sessionStorage.getItem(FROM_ADDRESS) !== null, false);
  attempt(() => sessionStorage.removeItem(FROM_ADDRESS), undefined);
  const came = stored || heldFromAddress;
  heldFromAddress = false;
  return came;
}

/** The key in what somebody pasted: the key itself, or the address that holds it; empty: it can be none. */
export function keyIn(text: string): string {
  const given = text.trim();
  const found = /[#&]key=([^&\s]*)/.exec(given)?.[1];
  const key = found === undefined ? given : attempt(() => decodeURIComponent(found), "");
  return SENDABLE.test(key) ? key : "";
}

/** Take a key out of the address; false: there was none that can be used. */
export function takeKeyFromAddress(): boolean {
  if (!/[#&]key=/.test(location.hash)) return false;
  const key = keyIn(location.hash);
  const rest = location.hash.replace(/([#&])key=[^&]*&?/, "$1").replace(/[#&]$/, "");
  history.replaceState(history.state, "", `${location.pathname}${location.search}${rest}`);
  if (key === "") return false;
  held = attempt(() => {
    sessionStorage.setItem(NAME, key);
    sessionStorage.setItem(FROM_ADDRESS, "1");
    return "";
  }, key);
  heldFromAddress = held !== "";
  return true;
}

/** Earlier versions kept the key for ever without asking: it lasts as long as this tab now. */
export function migrateKey(): void {
  attempt(() => {
    const old = localStorage.getItem(NAME);
    if (old === null) return;
    localStorage.removeItem(NAME);
    if (sessionStorage.getItem(NAME) === null && old !== "") sessionStorage.setItem(NAME, old);
  }, undefined);
}
