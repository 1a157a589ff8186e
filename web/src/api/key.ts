/**
 * The API key of this browser, and where it is stored.
 *
 * It lasts as long as the tab, unless the user has asked for this device to be remembered.
 */

const STORAGE_KEY = "kuaimei.key"; // public/before-paint.js writes it too
const FROM_ADDRESS_STORAGE_KEY = "kuaimei.key_from_address"; // and this
const REMEMBERED_STORAGE_KEY = "kuaimei.remembered_key";
/** Characters allowed in a header and in a WebSocket subprotocol. */
const SENDABLE = /^[\x21-\x7e]+$/;

/** The key, where the browser allows no storage; it lasts as long as the page. */
let memoryKey = "";
let memoryKeyFromAddress = false;

function tryStorage<T>(use: () => T, otherwise: T): T {
  try {
    return use();
  } catch {
    return otherwise;
  }
}

/** The key in force; empty: there is none. */
export function apiKey(): string {
  const stored = tryStorage(() => sessionStorage.getItem(STORAGE_KEY) ?? localStorage.getItem(REMEMBERED_STORAGE_KEY), null);
  return stored ?? memoryKey;
}

/** Whether this device is remembered with the key in force. */
export function isRemembered(): boolean {
  return tryStorage(() => localStorage.getItem(REMEMBERED_STORAGE_KEY) === apiKey(), false);
}

/**
 * Store a key.
 *
 * @param remember Beyond this tab, until the user signs out.
 */
export function storeKey(key: string, remember: boolean): void {
  memoryKeyFromAddress = false;
  memoryKey = tryStorage(() => {
    sessionStorage.removeItem(FROM_ADDRESS_STORAGE_KEY);
    sessionStorage.setItem(STORAGE_KEY, key);
    if (remember) localStorage.setItem(REMEMBERED_STORAGE_KEY, key);
    else localStorage.removeItem(REMEMBERED_STORAGE_KEY);
    return "";
  }, key);
}

/** Remove the key, and nothing else. */
export function clearKey(): void {
  memoryKey = "";
  memoryKeyFromAddress = false;
  tryStorage(() => {
    sessionStorage.removeItem(STORAGE_KEY);
    sessionStorage.removeItem(FROM_ADDRESS_STORAGE_KEY);
    localStorage.removeItem(REMEMBERED_STORAGE_KEY);
  }, undefined);
}

/** Remove a key that the server refuses; true: the key that this device is remembered with is in force again. */
export function clearRefusedKey(): boolean {
  const refused = apiKey();
  const remembered = tryStorage(() => localStorage.getItem(REMEMBERED_STORAGE_KEY), null);
  clearKey();
  if (remembered === null || remembered === refused) return false;
  tryStorage(() => localStorage.setItem(REMEMBERED_STORAGE_KEY, remembered), undefined);
  return true;
}

/** True if the key came with the page's address; later calls return false. */
export function wasKeyFromAddress(): boolean {
  const stored = tryStorage(() => sessionStorage.getItem(FROM_ADDRESS_STORAGE_KEY) !== null, false);
  tryStorage(() => sessionStorage.removeItem(FROM_ADDRESS_STORAGE_KEY), undefined);
  const came = stored || memoryKeyFromAddress;
  memoryKeyFromAddress = false;
  return came;
}

/** The key in pasted text: the key itself, or an address that contains one; empty: there is none. */
export function parseKey(text: string): string {
  const given = text.trim();
  const found = /[#&]key=([^&\s]*)/.exec(given)?.[1];
  const key = found === undefined ? given : tryStorage(() => decodeURIComponent(found), "");
  return SENDABLE.test(key) ? key : "";
}

/** Move the key from the page's address to the storage; false: it had no usable key. */
export function takeKeyFromAddress(): boolean {
  if (!/[#&]key=/.test(location.hash)) return false;
  const key = parseKey(location.hash);
  const rest = location.hash.replace(/([#&])key=[^&]*&?/, "$1").replace(/[#&]$/, "");
  history.replaceState(history.state, "", `${location.pathname}${location.search}${rest}`);
  if (key === "") return false;
  memoryKey = tryStorage(() => {
    sessionStorage.setItem(STORAGE_KEY, key);
    sessionStorage.setItem(FROM_ADDRESS_STORAGE_KEY, "1");
    return "";
  }, key);
  memoryKeyFromAddress = memoryKey !== "";
  return true;
}

/** Earlier versions stored the key permanently: limit it to this tab. */
export function migrateKey(): void {
  tryStorage(() => {
    const old = localStorage.getItem(STORAGE_KEY);
    if (old === null) return;
    localStorage.removeItem(STORAGE_KEY);
    if (sessionStorage.getItem(STORAGE_KEY) === null && old !== "") sessionStorage.setItem(STORAGE_KEY, old);
  }, undefined);
}
