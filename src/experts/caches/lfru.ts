import { type CachePolicy, type Worth, WorthCache } from './cache.js';

/** Calls within which an expert must be used a second time before it takes a slot: many are not used again soon. */
const WINDOW = 64;
/** Calls that are added to an age: what was just used is not worth many times what was used a call before. */
const GRACE = 8;

/** Frequency divided by age. */
const frequencyByAge: Worth = (heat, age) => heat - Math.log2(GRACE + age);

/** Evicts what is used least for its age. */
export const lfru: CachePolicy = {
  name: 'lfru',
  summary: 'what was used least for its age leaves',
  create: (slots) => new WorthCache(slots, frequencyByAge),
};

/** The same, but that an expert used for the first time in a while takes no slot: many such are never used again soon. */
export const lfruTwice: CachePolicy = {
  name: 'lfru-twice',
  summary: `as lfru, and only what is used twice in ${WINDOW} calls comes`,
  create: (slots) => new WorthCache(slots, frequencyByAge, WINDOW),
};
