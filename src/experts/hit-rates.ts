import { type Counts, hitRate, popular, spread, unpopular } from './placement.js';

/** Hit rates of placements of one size over a text, 0 to 1. */
export interface HitRates {
  /** Of experts spread over layers, as without a profile. */
  spread: number;
  /** Of those that are most popular by the profile. */
  profiled: number;
  /** Of those that are most popular in the text itself, and of those that are least. */
  best: number;
  worst: number;
}

/** What a profile is worth for a text that was counted apart. @param count experts resident over all layers */
export function hitRates(count: number, profile: Counts, text: Counts): HitRates {
  const sizes = text.map(({ length }) => length);
  return {
    spread: hitRate(spread(count, sizes), text),
    profiled: hitRate(popular(count, sizes, profile), text),
    best: hitRate(popular(count, sizes, text), text),
    worst: hitRate(unpopular(count, sizes, text), text),
  };
}
