/** Paginated lists. */

import { getJson } from "./http";

export interface Page<T> {
  data: T[];
  has_more?: boolean;
}

const PAGE_SIZE = 500;

/** Fetch all pages of a list; `cursor` of the last element says where the next page begins. */
export async function getAllPages<T, L extends Page<T>>(
  path: string,
  cursor: (last: T) => string | number,
  init?: RequestInit,
): Promise<L> {
  const first = await getJson<L>(`${path}?limit=${PAGE_SIZE}`, init);
  let page = first;
  const data = [...first.data];
  for (let last = data.at(-1); page.has_more && last !== undefined; last = page.data.at(-1)) {
    page = await getJson<L>(`${path}?limit=${PAGE_SIZE}&after=${encodeURIComponent(cursor(last))}`, init);
    data.push(...page.data);
  }
  return { ...first, data };
}
