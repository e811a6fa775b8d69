import type { CachePolicy, Use } from './cache.js';

/** Holds from the first to the last call what is used most in them: no list that never changes hits more. */
export const fixed: CachePolicy = {
  name: 'static',
  summary: 'what is used most in hindsight stays',
  create(slots, uses) {
    const held = new Set(mostUsed(uses).slice(0, slots));
    return { has: (expert) => held.has(expert), use: ({ expert }) => held.has(expert), copies: 0 };
  },
};

function mostUsed(uses: readonly Use[]): number[] {
  const counts = new Map<number, number>();
  for (const { expert } of uses) counts.set(expert, (counts.get(expert) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).map(([expert]) => expert);
}
