import { type CachePolicy, WorthCache } from './cache.js';

/** Evicts what was used least, where uses age. */
export const lfu: CachePolicy = {
  name: 'lfu',
  summary: 'the least frequently used leaves',
  create: (slots) => new WorthCache(slots, (heat) => heat),
};

/** The same, but that nothing that was used is forgotten. */
export const lfuEver: CachePolicy = {
  name: 'lfu-ever',
  summary: 'the least frequently used since the beginning leaves',
  create: (slots) => new WorthCache(slots, (heat) => heat, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY),
};
