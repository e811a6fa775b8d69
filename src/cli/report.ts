import pc from 'picocolors';
import type { CacheReport, Expected, Figure, LaneReport, Report } from '../index.js';

const LANE_NAMES = { resident: 'resident', streamed: 'streamed', cpu: 'CPU' } as const;

const FINISHES: Readonly<Record<Report['finish'], string>> = {
  end: 'the model ended it',
  stop: 'a stop text came',
  length: 'no more was asked for',
  aborted: 'it was interrupted',
};

/** The report as a table of lines, each with its newline. */
export function formatReport(report: Report): string {
  const { lanes, memory } = report;
  const { dim } = pc.createColors(pc.isColorSupported && process.stderr.isTTY === true);
  const cached = report.cachedTokens > 0 ? `, ${report.cachedTokens} of them cached` : '';
  const rows: [string, string][] = [
    ['model', `${report.model} on ${report.accelerator}, policy ${report.policy}, ${plural(report.threads, 'thread')}`],
    ['prefill', `${plural(report.promptTokens, 'token')}${cached}, ${rate(report.prefillRate)}`],
  ];
  if (report.generatedTokens > 0) rows.push(['first token', `after ${seconds(report.ttft)}`]);
  if (report.seed !== undefined || report.generatedTokens > 0) {
    rows.push(
      ['decode', `${plural(report.generatedTokens, 'token')}, ${rate(report.decodeRate)}; ${FINISHES[report.finish]}`],
      ...(report.expected && report.generatedTokens > 1 ? [predicted(report.expected)] : []),
    );
  }
  if (report.seed !== undefined) rows.push(['seed', `${report.seed}`]);
  rows.push(['experts', expertsLine(report)]);
  for (const name of ['resident', 'streamed', 'cpu'] as const) rows.push([`  ${LANE_NAMES[name]}`, lane(lanes[name])]);
  if (used(report.cache)) rows.push(['  cache', cacheWork(report.cache)]);
  const planned = memory.planned === undefined ? '' : ` of ${formatBytes(memory.planned)} planned`;
  rows.push([
    'memory',
    `accelerator ${formatBytes(memory.accelerator)}, weights in RAM ${formatBytes(memory.ram)}, peak resident set ${formatBytes(memory.peakRss)}${planned}`,
  ]);
  return rows.map(([name, value]) => `${dim(name.padEnd(12))} ${value}\n`).join('');
}

/** Bytes in the largest decimal unit that gives at least 1. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), units.length - 1);
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}

export function rate(tokensPerSecond: number): string {
  return `${tokensPerSecond.toFixed(tokensPerSecond < 100 ? 2 : 0)} tokens/s`;
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function lane({ experts, bytes, ms }: LaneReport): string {
  return `${`${experts}`.padStart(7)} experts ${formatBytes(bytes).padStart(10)} ${ms.toFixed(1).padStart(9)} ms`;
}

/** What a plan says of this generation. */
function predicted({ ttft, decodeRate }: Expected): [string, string] {
  const range = ({ low, high }: Figure, text: (value: number) => string) => `(${text(low)} to ${text(high)})`;
  const plain = (value: number) => rate(value).replace(' tokens/s', '');
  const decode = `decode ${rate(decodeRate.value)} ${range(decodeRate, plain)}`;
  return ['predicted', `first token after ${seconds(ttft.value)} ${range(ttft, seconds)}, ${decode}`];
}

function used({ hits, usefulPrefetches, wastedPrefetches }: CacheReport): boolean {
  return hits + usefulPrefetches + wastedPrefetches > 0;
}

function cacheWork({ hits, usefulPrefetches: useful, wastedPrefetches: wasted }: CacheReport): string {
  const prefetches = useful + wasted > 0 ? `; prefetches: ${useful} useful, ${wasted} wasted` : '';
  return `${`${hits}`.padStart(7)} of those streamed were there already${prefetches}`;
}

function expertsLine({ experts, kernels }: Report): string {
  const { resident, total, profiled, hitRate, exchanged, types } = experts;
  const by = resident > 0 && profiled > 0 ? ` by a profile of ${plural(profiled, 'token')}` : '';
  const moved = exchanged > 0 ? `, ${exchanged} exchanged` : '';
  return `${resident} of ${total} resident${by}${moved}, hit rate ${percent(hitRate)}; ${types} by ${kernels}`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}

function seconds(value: number): string {
  return value < 1 ? `${(1000 * value).toFixed(0)} ms` : `${value.toFixed(2)} s`;
}
