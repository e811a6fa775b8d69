import { belady } from './belady.js';
import type { CachePolicy } from './cache.js';
import { classLru } from './class-lru.js';
import { fixed } from './fixed.js';
import { forecast, forecastFew } from './forecast.js';
import { lfru, lfruTwice } from './lfru.js';
import { lfu, lfuEver } from './lfu.js';
import { lru } from './lru.js';

/** Every rule by which experts may share the accelerator's slots. */
export const CACHE_POLICIES: readonly CachePolicy[] = [
  fixed,
  lru,
  lfu,
  lfuEver,
  classLru,
  lfru,
  lfruTwice,
  forecastFew,
  forecast,
  belady,
];
