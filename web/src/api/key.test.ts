import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

class FakeStorage {
  private readonly kept = new Map<string, string>();
  getItem = (name: string) => this.kept.get(name) ?? null;
  setItem = (name: string, value: string) => void this.kept.set(name, value);
  removeItem = (name: string) => void this.kept.delete(name);
  get names() {
    return [...this.kept.keys()];
  }
}

const forbidden = new Proxy({}, { get: () => () => { throw new DOMException("no", "SecurityError"); } });

let session: FakeStorage;
let local: FakeStorage;
let shown: string[];

/** The module as it is right after a page with this address was loaded. */
async function loadedAt(address = "/", storage: { session?: object; local?: object } = {}) {
  const url = new URL(address, "http://kuaimei.test");
  vi.stubGlobal("sessionStorage", storage.session ?? session);
  vi.stubGlobal("localStorage", storage.local ?? local);
  vi.stubGlobal("location", url);
  vi.stubGlobal("history", {
    state: null,
    replaceState: (_state: unknown, _title: string, to: string) => {
      shown.push(to);
      url.href = new URL(to, url).href;
    },
  });
  vi.resetModules();
  return import("./key");
}

beforeEach(() => {
  session = new FakeStorage();
  local = new FakeStorage();
  shown = [];
});
afterEach(() => vi.unstubAllGlobals());

describe("a key in the address", () => {
  it("is taken, leaves the address, and lasts as long as the tab", async () => {
    const key = await loadedAt("/?x=1#key=km_abc%2Bdef");
    expect(key.takeKeyFromAddress()).toBe(true);
    expect(key.apiKey()).toBe("km_abc+def");
    expect(shown).toEqual(["/?x=1"]);
    expect(local.names).toEqual([]);
    expect(key.wasKeyFromAddress()).toBe(true);
    expect(key.wasKeyFromAddress()).toBe(false);
    expect(key.takeKeyFromAddress()).toBe(false);
  });

  it("leaves the rest of the address as it was", async () => {
    const key = await loadedAt("/#/s/sess_1&key=abcdef");
    key.takeKeyFromAddress();
    expect(shown).toEqual(["/#/s/sess_1"]);
    const other = await loadedAt("/#key=abcdef&/s/sess_1");
    other.takeKeyFromAddress();
    expect(shown.at(-1)).toBe("/#/s/sess_1");
  });

  it("that no header can carry is ignored", async () => {
    const key = await loadedAt("/#key=%E9%87%91%E9%91%B0");
    expect(key.takeKeyFromAddress()).toBe(false);
    expect(key.apiKey()).toBe("");
    expect(shown).toEqual(["/"]);
    for (const spoilt of ["/#key=", "/#key=%", "/#key=a%20b"]) {
      expect((await loadedAt(spoilt)).takeKeyFromAddress()).toBe(false);
      expect(shown.at(-1)).toBe("/");
    }
  });

  it("is held in memory where nothing can be stored", async () => {
    const key = await loadedAt("/#key=abcdef", { session: forbidden, local: forbidden });
    expect(key.takeKeyFromAddress()).toBe(true);
    expect(key.apiKey()).toBe("abcdef");
    expect(shown).toEqual(["/"]);
    key.clearKey();
    expect(key.apiKey()).toBe("");
  });
});

describe("a key", () => {
  it("outlives the tab only if the device is remembered", async () => {
    const key = await loadedAt();
    key.storeKey("first", false);
    expect(key.isRemembered()).toBe(false);
    session = new FakeStorage(); // another tab
    expect((await loadedAt()).apiKey()).toBe("");
    const again = await loadedAt();
    again.storeKey("second", true);
    session = new FakeStorage();
    const later = await loadedAt();
    expect(later.apiKey()).toBe("second");
    expect(later.isRemembered()).toBe(true);
    later.storeKey("second", false);
    expect(local.names).toEqual([]);
    expect(later.apiKey()).toBe("second");
    later.clearKey();
    expect(later.apiKey()).toBe("");
    expect([...session.names, ...local.names]).toEqual([]);
  });

  it("that an earlier version stored permanently lasts as long as the tab now", async () => {
    local.setItem("kuaimei.key", "old");
    const key = await loadedAt();
    key.migrateKey();
    expect(local.names).toEqual([]);
    expect(key.apiKey()).toBe("old");
    expect(key.isRemembered()).toBe(false);
  });

  it("that is refused leaves the one that the device is remembered with", async () => {
    const key = await loadedAt("/#key=stale");
    key.storeKey("good", true);
    key.takeKeyFromAddress();
    expect(key.apiKey()).toBe("stale");
    expect(key.clearRefusedKey()).toBe(true);
    expect(key.apiKey()).toBe("good");
    expect(key.clearRefusedKey()).toBe(false);
    expect(key.apiKey()).toBe("");
  });

  it("is found in pasted text", async () => {
    const { parseKey } = await loadedAt();
    expect(parseKey("  km_abc \n")).toBe("km_abc");
    expect(parseKey("http://127.0.0.1:8000/#key=km_a%2Fb")).toBe("km_a/b");
    expect(["", " ", "兩個字", "a b"].map(parseKey)).toEqual(["", "", "", ""]);
  });
});
