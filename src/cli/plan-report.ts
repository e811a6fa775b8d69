import type { Limit } from '../index.js';
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

/** A plan as text for a terminal. */
export function formatPlan(plan: Plan): string {
  const { memory, experts } = plan;
  const { accelerator, ram } = memory;
  const offloads = accelerator.total > 0;
  const share = ((100 * experts.resident) / experts.total).toFixed(1);
  const rows: [string, string][] = [
    ['model', `${plan.model} (${plan.family}), ${plural(experts.total, 'expert')} of ${formatBytes(experts.bytes)}`],
    ['context', plural(plan.context, 'token')],
  ];
  if (offloads) {
    const budget = Number.isFinite(accelerator.budget) ? ` of ${formatBytes(accelerator.budget)}` : '';
    rows.push([plan.accelerator, `${formatBytes(accelerator.total)}${budget}: ${parts(accelerator.parts)}`]);
    rows.push(['experts', `${experts.resident} of ${experts.total} resident (${share}%)`]);
  }
  rows.push(['RAM', `${formatBytes(ram.total)} of ${formatBytes(ram.available)} available: ${parts(ram.parts)}`]);
  rows.push(['loading', loading(plan)]);
  const table = rows.map(([name, value]) => `${name.padEnd(10)} ${value}\n`).join('');
  return `${table}\n${predictions(plan.policies)}\n${verdict(plan)}\n`;
}

function parts(of: Record<string, number>): string {
  const shown = Object.entries(of).filter(([, bytes]) => bytes >= 1e5);
  return shown
    .sort(([, a], [, b]) => b - a)
    .map(([name, bytes]) => `${name} ${formatBytes(bytes)}`)
    .join(', ');
}

function loading({ loadSeconds, memory, experts }: Plan): string {
  const files = (memory.ram.parts.weights ?? 0) + experts.resident * experts.bytes;
  const disks = DISKS.map((rate) => `${(files / rate / 1e9 + loadSeconds).toFixed(0)} s from a disk of ${rate} GB/s`);
  return `${loadSeconds.toFixed(1)} s once the files are in memory; ${disks.join(', ')}`;
}

function predictions(policies: readonly PolicyPlan[]): string {
  const prompts = policies[0]!.prefill.map(({ tokens }) => `first token of ${tokens}`);
  const head = ['policy', `tokens/s at ${policies[0]!.decode.past}`, 'limited by', 'hit rate', ...prompts];
  const rows = policies.map(({ policy, decode, prefill }) => [
    policy,
    `${figure(1000 / decode.ms)} ± ${figure((1000 * decode.error) / decode.ms ** 2)}`,
    LIMITS[decode.limit],
    `${(100 * decode.hitRate).toFixed(0)}%`,
    ...prefill.map(({ ms, error }) => `${figure(ms / 1000)} ± ${figure(error / 1000)} s`),
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

/** Three digits. */
export function figure(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value >= 0.1 ? value.toFixed(2) : value.toPrecision(2);
}

function verdict({ memory, policies }: Plan): string {
  const { total, available } = memory.ram;
  if (total > available) {
    return `It does not fit: ${formatBytes(total - available)} of RAM are missing. More experts on a GPU (--gpu-memory), a smaller --ctx, or a model in fewer bits would make it fit.`;
  }
  const [best, second] = policies;
  const gain = second ? `, ${figure(second.decode.ms / best!.decode.ms)} times as fast as ${second.policy}` : '';
  return `It fits. Policy ${best!.policy}${gain}.`;
}
