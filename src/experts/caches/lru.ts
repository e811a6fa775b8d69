import { type CachePolicy, WorthCache } from './cache.js';

/** Evicts what was not used for longest. */
export const lru: CachePolicy = {
  name: 'lru',
  summary: 'the least recently used leaves',
  create: (slots) => new WorthCache(slots, (_, age) => -age),
};
