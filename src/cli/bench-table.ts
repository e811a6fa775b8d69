import type { CopyRates } from '../devices/link.js';
import { contenderName, type Measurement } from '../engine/benchmark.js';
import type { Workbench } from '../engine/workbench.js';
import type { Hardware } from '../loading/machine.js';

/** What was loaded and what one expert costs here. @param rates of plain copies, where they were measured */
export function describe(session: Workbench, past: number, layerUs: number, rates?: CopyRates): Record<string, string> {
  const { name, accelerator, threads, kernels, experts, loadSeconds } = session.info;
  const { copy, contention, cpu } = session.costs;
  const bytes = session.expertBytes;
  const gb = (ms: number) =>
    ms > 0 ? `${ms.toFixed(3)} ms (${(bytes / ms / 1e6).toFixed(1)} GB/s)` : 'not measured: no policy asks for it here';
  return {
    model: name,
    accelerator: `${accelerator}, ${threads} CPU threads of ${kernels}`,
    experts: `${experts.resident} of ${experts.total} resident, ${(bytes / 1e6).toFixed(1)} MB each`,
    loaded: `${loadSeconds.toFixed(1)} s`,
    'one expert on the CPU': gb(cpu(1)),
    'one expert copied': copy > 0 ? `${gb(copy)}${ofPinned(bytes / (copy / 1000), rates)}` : 'nothing is copied',
    ...(rates && { 'copies of 256 MiB': rateLine(rates) }),
    'slowed by each other': `CPU ${contention.cpu.toFixed(2)}, copy ${contention.copy.toFixed(2)}`,
    'a layer without experts': `${layerUs.toFixed(0)} µs at ${past} tokens of context`,
  };
}

function rateLine({ pinned, pageable }: CopyRates): string {
  const gb = (rate: number) => `${(rate / 1e9).toFixed(1)} GB/s`;
  const ordinary = `from pageable memory ${gb(pageable)}`;
  return pinned === undefined ? ordinary : `from pinned memory ${gb(pinned)}, ${ordinary}`;
}

function ofPinned(rate: number, rates?: CopyRates): string {
  return rates?.pinned ? `, ${((100 * rate) / rates.pinned).toFixed(0)}% of the pinned copy rate` : '';
}

/** GPU, CPU and RAM in one line. */
export function machineLine({ cpu, cores, ram, accelerator }: Hardware): string {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(0)} GiB`;
  const gpu = accelerator ? [`${accelerator.name} (${gib(accelerator.memory)})`] : [];
  return [...gpu, cpu, `${cores} ${cores === 1 ? 'core' : 'cores'}`, `${gib(ram)} of RAM`].join(', ');
}

export function workloadName(m: Measurement): string {
  const at = m.sequences && m.sequences > 1 ? `${m.sequences} at ` : 'at ';
  return m.kind === 'decode' ? `decode ${at}${m.past}` : `prefill ${m.tokens}`;
}

/** Tokens a second of the slowest and the fastest run. */
export function spreadOf({ tokens, sequences = 1, seconds }: Measurement): { low: number; high: number } {
  return { low: (sequences * tokens) / seconds.max, high: (sequences * tokens) / seconds.min };
}

/** The measurements for a terminal. */
export function table(found: readonly Measurement[]): string {
  const rows = found.map((m) => {
    const { low, high } = spreadOf(m);
    const { resident, streamed, cpu } = m.lanes;
    const lanes = [resident, streamed, cpu].map(({ experts }) => experts.toFixed(0)).join('/');
    const spread = `${low.toFixed(2)}–${high.toFixed(2)}`;
    const moved = (m.expertBytesPerSecond / 1e9).toFixed(1);
    const { hits, usefulPrefetches, wastedPrefetches } = m.saved;
    const ahead = `${usefulPrefetches}/${wastedPrefetches}`;
    return [
      workloadName(m),
      contenderName(m),
      m.rate.toFixed(2),
      m.sequences ? (m.rate / m.sequences).toFixed(2) : '',
      spread,
      m.predicted?.toFixed(2) ?? '',
      lanes,
      m.expertsPerStep?.toFixed(1) ?? '',
      (m.expertBytesPerToken / 1e6).toFixed(0),
      moved,
      `${hits}`,
      ahead,
    ];
  });
  const head = ['workload', 'policy', 'tokens/s', 'each', 'min–max', 'predicted', 'resident/streamed/CPU'];
  head.push('experts a step', 'MB a token', 'expert GB/s', 'cache hits', 'prefetched useful/wasted');
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  return [head, ...rows].map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')).join('\n');
}
