import { type CachePolicy, WorthCache } from './cache.js';

/** Evicts what was used least, where uses age. */
export const lfu: CachePolicy = {
  name: 'lfu',
  summary: 'the least frequently used leaves',
  create: (slots) => new WorthCache(slots, (heat) => heat),
};
