import { expect, it } from "vitest";

import { enAccount, zhAccount } from "./account";

it("retention periods are spelled out in both languages", () => {
  expect(zhAccount.notice.long(0)).toContain("直到");
  expect(zhAccount.notice.long(30)).toContain("30 天");
  expect(zhAccount.mine.kept(0.5)).toContain("12 小時");
  expect(enAccount.notice.long(0)).toContain("until");
  expect(enAccount.notice.long(1)).toContain("1 day and");
  expect(enAccount.mine.voicesKept(2)).toContain("2 days");
  expect(enAccount.mine.counted(1, 0)).toBe("1 conversation and 0 voices were deleted.");
});
