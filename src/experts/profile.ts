import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Counts } from './placement.js';
import type { ExpertsSpec } from './spec.js';

/** What names a model in its profile. */
export interface ProfiledModel {
  /** For people. */
  model: string;
  /** Equal for models of the same config and shape. */
  fingerprint: string;
}

/** How often a model chose each of its experts. */
export interface Profile extends ProfiledModel {
  /** Tokens counted; fewer once old ones were halved. */
  tokens: number;
  /** Tokens routed to each expert, by layer with experts. */
  counts: Counts;
}

/** Counts of more tokens are halved, so that what is counted from then on weighs as much as all before. */
const MOST_TOKENS = 100_000;

const count = z.int().nonnegative();
const schema = z.object({
  format: z.literal('fiddler-profile'),
  version: z.literal(1),
  model: z.string().regex(/^\P{Cc}*$/u),
  fingerprint: z.string(),
  tokens: count,
  counts: z.array(z.array(count).min(1)).min(1),
});

/** Undefined where the text is no profile of this version. */
export function parseProfile(text: string): Profile | undefined {
  try {
    const { model, fingerprint, tokens, counts } = schema.parse(JSON.parse(text));
    return { model, fingerprint, tokens, counts };
  } catch {
    return undefined;
  }
}

export function formatProfile({ model, fingerprint, tokens, counts }: Profile): string {
  const plain = counts.map((layer) => Array.from(layer));
  return `${JSON.stringify({ format: 'fiddler-profile', version: 1, model, fingerprint, tokens, counts: plain })}\n`;
}

/** Of a model's config and its experts' shapes: weights are too large to be read for it. */
export function fingerprint(config: unknown, layers: readonly ExpertsSpec[]): string {
  const shapes = layers.map(({ count, chosen, hidden, width }) => [count, chosen, hidden, width]);
  return createHash('sha256')
    .update(JSON.stringify([config, shapes]))
    .digest('hex')
    .slice(0, 16);
}

/** Whether the profile counts as many layers and experts as these are. */
export function fits({ counts }: Profile, layers: readonly Pick<ExpertsSpec, 'count'>[]): boolean {
  return counts.length === layers.length && layers.every(({ count }, l) => counts[l]!.length === count);
}

/** The profile of what was counted. @param counts tokens routed to each expert, by layer */
export function profileOf(named: ProfiledModel, layers: readonly ExpertsSpec[], counts: Counts): Profile {
  const tokens = layers.map(({ chosen }, l) => Math.ceil(Array.from(counts[l]!).reduce((a, b) => a + b, 0) / chosen));
  const { model, fingerprint } = named;
  return { model, fingerprint, tokens: Math.max(0, ...tokens), counts: counts.map((layer) => Array.from(layer)) };
}

/** Both together, halved where that is much. */
export function mergeProfiles(a: Profile, b: Profile): Profile {
  const counts = a.counts.map((layer, l) => Array.from(layer, (n, e) => n + b.counts[l]![e]!));
  return aged({ ...b, tokens: a.tokens + b.tokens, counts });
}

/** Halved until what is counted later can change it. */
export function aged(profile: Profile): Profile {
  if (profile.tokens <= MOST_TOKENS) return profile;
  const counts = profile.counts.map((layer) => Array.from(layer, (n) => Math.floor(n / 2)));
  return aged({ ...profile, tokens: Math.floor(profile.tokens / 2), counts });
}
