import { type CachePolicy, WorthCache } from './cache.js';

/** Ages are less than this: a class weighs more than any. */
const CALLS = 2 ** 40;

/** Evicts of the experts of the lowest class the least recently used; a class is the logarithm of how often it was used. */
export const classLru: CachePolicy = {
  name: 'class-lru',
  summary: 'of the class that is used least, the least recently used leaves',
  create: (slots) => new WorthCache(slots, (heat, age) => Math.floor(heat) * CALLS - age),
};
