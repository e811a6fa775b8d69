import pc from 'picocolors';
import { type HitRates, hitRates } from '../experts/hit-rates.js';
import type { Counts } from '../experts/placement.js';
import type { Profile } from '../experts/profile.js';
import { heatMap } from './heat-map.js';
import { percent, plural } from './report.js';

/** Shares of all experts for which hit rates are given. */
const SHARES = [0.1, 0.25, 0.5, 0.75];

/** Hit rates for so many experts resident, without and with the profile. */
interface Residency extends Pick<HitRates, 'spread' | 'profiled'> {
  resident: number;
  total: number;
}

/** What the profile is worth for a text that it does not count. */
export interface HeldOut extends HitRates {
  tokens: number;
  resident: number;
  total: number;
}

export function residencies({ counts }: Profile): Residency[] {
  const total = expertsIn(counts);
  return SHARES.map((share) => {
    const resident = Math.round(share * total);
    const { spread, profiled } = hitRates(resident, counts, counts);
    return { resident, total, spread, profiled };
  });
}

/** @param share of all experts that are resident */
export function heldOut(profile: Profile, text: Profile, share: number): HeldOut {
  const total = expertsIn(text.counts);
  const resident = Math.round(share * total);
  return { tokens: text.tokens, resident, total, ...hitRates(resident, profile.counts, text.counts) };
}

/** For people: the heat map and what follows from it. */
export function formatProfileReport(profile: Profile, apart?: HeldOut): string {
  const { model, tokens, counts } = profile;
  const colors = pc.createColors(pc.isColorSupported && process.stdout.isTTY === true);
  const rows = residencies(profile).map(({ resident, total, spread, profiled }) =>
    [`${resident} of ${total}`.padStart(14), rateColumn(spread), rateColumn(profiled)].join(''),
  );
  const lines = [
    `${model}: experts chosen for ${plural(tokens, 'token')}`,
    '',
    heatMap(counts, process.stdout.columns ?? 100, colors),
    `${'resident'.padStart(14)}${'spread'.padStart(12)}${'popular'.padStart(12)}   hit rate over these tokens`,
    ...rows,
    ...(apart ? ['', ...heldOutLines(apart)] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function heldOutLines({ tokens, resident, total, spread, profiled, best, worst }: HeldOut): string[] {
  return [
    `hit rate over ${plural(tokens, 'token')} held out, ${resident} of ${total} experts resident:`,
    `${'without the profile'.padEnd(22)}${percent(spread)}`,
    `${'with it'.padEnd(22)}${percent(profiled)}`,
    `${'best possible'.padEnd(22)}${percent(best)}`,
    `${'worst possible'.padEnd(22)}${percent(worst)}`,
  ];
}

function rateColumn(rate: number): string {
  return percent(rate).padStart(12);
}

function expertsIn(counts: Counts): number {
  return counts.reduce((sum, { length }) => sum + length, 0);
}
