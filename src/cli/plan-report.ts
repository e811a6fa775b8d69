import type { Limit } from '../index.js';
import type { Prediction } from '../pace/prediction.js';
import type { Plan, PolicyPlan } from '../planning/plan.js';
import { formatBytes, plural } from './report.js';

const LIMITS: Readonly<Record<Limit, string>> = {
  memory: 'memory bandwidth',
  compute: 'CPU arithmetic',
  link: 'the link to the accelerator',
  accelerator: 'the accelerator',
};

/** Speeds at which files are read, in GB/s: a SATA disk, and an NVMe one. */
const DISKS = [0.5, 3];

/** From so many times the value on, an interval is told by its ends. */
const WIDE = 1.5;

/** A plan as text for a terminal. */
export function formatPlan(plan: Plan): string {
  const { memory, experts } = plan;
  const { accelerator, ram } = memory;
  const offloads = accelerator.total > 0;
  const share = ((100 * experts.resident) / experts.total).toFixed(1);
  const rows: [string, string][] = [
    [
      'model',
      `${plan.model} (${plan.family}), ${plural(experts.total, 'expert')} of ${formatBytes(experts.bytes)} in ${experts.types} by ${experts.kernels}`,
    ],
    [
      'context',
      `${plural(plan.context, 'token')}${plan.sequences > 1 ? ` for each of ${plan.sequences} texts at once` : ''}`,
    ],
  ];
  if (offloads) {
    const budget = Number.isFinite(accelerator.budget) ? ` of ${formatBytes(accelerator.budget)}` : '';
    rows.push([plan.accelerator, `${formatBytes(accelerator.total)}${budget}: ${parts(accelerator.parts)}`]);
    rows.push(['experts', `${experts.resident} of ${experts.total} resident (${share}%)`]);
  }
  rows.push(['RAM', `${formatBytes(ram.total)} of ${formatBytes(ram.available)} available: ${parts(ram.parts)}`]);
  if (memory.tables > 0) {
    rows.push([
      'disk',
      `${formatBytes(memory.tables)} of tables stay in the files: each token reads a few rows of them`,
    ]);
  }
  if (memory.kept) {
    const { bytes, there } = memory.kept;
    rows.push([
      'disk',
      `${formatBytes(bytes)} of quantized weights under the cache folder, ${there ? 'there' : 'to be written'}`,
    ]);
  }
  if (plan.loadSeconds !== undefined) rows.push(['loading', loading(plan, plan.loadSeconds)]);
  const table = rows.map(([name, value]) => `${name.padEnd(10)} ${value}\n`).join('');
  const predicted = plan.policies.length > 0 ? `${predictions(plan.policies)}\n` : '';
  return `${table}\n${predicted}${verdict(plan)}\n`;
}

function parts(of: Record<string, number>): string {
  const shown = Object.entries(of).filter(([, bytes]) => bytes >= 1e5);
  return shown
    .sort(([, a], [, b]) => b - a)
    .map(([name, bytes]) => `${name} ${formatBytes(bytes)}`)
    .join(', ');
}

function loading({ memory, experts }: Plan, seconds: number): string {
  const files = (memory.ram.parts.weights ?? 0) + experts.resident * experts.bytes;
  const disks = DISKS.map((rate) => `${(files / rate / 1e9 + seconds).toFixed(0)} s from a disk of ${rate} GB/s`);
  return `${seconds.toFixed(1)} s once the files are in memory; ${disks.join(', ')}`;
}

function predictions(policies: readonly PolicyPlan[]): string {
  const { decode, prefill, together } = policies[0]!;
  const prompts = prefill.map(({ tokens }) => `first token of ${tokens}`);
  const several = together ? [`${together.sequences} at once, in sum`, 'each'] : [];
  const head = ['policy', `tokens/s at ${decode.past}`, ...several, 'limited by', 'hit rate', ...prompts];
  const rows = policies.map(({ policy, decode, together, prefill }) => [
    policy,
    rate(decode),
    ...(together ? [rate(together, together.sequences), rate(together)] : []),
    LIMITS[(together ?? decode).limit],
    `${(100 * (together ?? decode).hitRate).toFixed(0)}%`,
    ...prefill.map(({ ms, low, high }) => `${interval(ms / 1000, low / 1000, high / 1000)} s`),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  return [head, ...rows]
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** Tokens a second of a call of so many. */
function rate({ ms, low, high }: Prediction, tokens = 1): string {
  return interval((1000 * tokens) / ms, (1000 * tokens) / high, (1000 * tokens) / low);
}

/** A figure give or take, or from and to where that is much. */
function interval(value: number, low: number, high: number): string {
  if (high > WIDE * value) return `${figure(low)} to ${figure(high)}`;
  return `${figure(value)} ± ${figure(high - value)}`;
}

/** Three digits. */
export function figure(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value >= 0.1 ? value.toFixed(2) : value.toPrecision(2);
}

function verdict({ shortages, policies }: Plan): string {
  if (shortages.length > 0) return `It does not fit: ${shortages.join('.\nNor does it fit: ')}.`;
  const [best, second] = policies;
  const time = ({ together, decode }: PolicyPlan) => (together ?? decode).ms;
  const gain = second ? `, ${figure(time(second) / time(best!))} times as fast as ${second.policy}` : '';
  return `It fits. Policy ${best!.policy}${gain}.`;
}
