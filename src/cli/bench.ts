import { type Command, Option } from 'commander';
import { prepareEnvironment } from '../devices/environment.js';
import type { Measurement, Workload } from '../engine/benchmark.js';
import type { Session } from '../engine/session.js';
import { POLICIES } from '../experts/policies/index.js';
import { PUBLISHED } from '../models/published.js';
import { addCommon, addModelOptions, type ModelFlags } from './options.js';
import { integer, number, tokens } from './parse.js';

interface BenchFlags extends ModelFlags {
  synthetic?: string;
  layers?: number;
  zipf: number;
  policies: string;
  prefill: number[];
  decodeAt: number[];
  decodeTokens: number;
  repeats: number;
  patience: number;
  json?: boolean;
}

const EXAMPLES = `
fiddler bench
fiddler bench --model ~/models/Mixtral-8x7B-v0.1 --gpu-memory 24GiB
fiddler bench --synthetic mixtral-8x7b --gpu-memory 24GiB --json`;

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .description('measure this machine and model: every policy in turn, in decoding and in prefill')
    .addOption(
      new Option('--synthetic <name>', 'a published shape with random weights, no files').choices(
        Object.keys(PUBLISHED),
      ),
    )
    .option('--layers <n>', 'fewer layers for --synthetic', integer(1))
    .option('--zipf <s>', 'skew of the random routing of --synthetic', number(0), 0)
    .option('--policies <names>', 'policies to compare', POLICIES.map((p) => p.name).join(','))
    .option('--prefill <lengths>', 'prompt lengths', tokens, [32, 128, 512, 2048])
    .option('--decode-at <contexts>', 'tokens of context to decode behind', tokens, [128, 1000])
    .option('--decode-tokens <n>', 'tokens decoded in a run', integer(1), 8)
    .option('--repeats <n>', 'runs of each, after one that is not counted', integer(1), 3)
    .option('--patience <seconds>', 'what takes longer is run once', number(0), 5)
    .option('--json', 'one JSON object a line');
  addModelOptions(command);
  addCommon(command, EXAMPLES).action(bench);
}

async function bench(flags: BenchFlags): Promise<void> {
  prepareEnvironment(flags);
  // Only this command computes in the main thread; the others start faster without what that takes.
  const { benchmark, layerMicroseconds } = await import('../engine/benchmark.js');
  const { loadSource } = await import('../engine/load.js');
  const { folderSource, syntheticSource } = await import('../engine/source.js');
  const { synthetic, layers, zipf } = flags;
  const source = synthetic ? syntheticSource(synthetic, { layers, zipf }) : folderSource(flags.model);
  const longest = Math.max(...flags.prefill, ...flags.decodeAt.map((n) => n + flags.decodeTokens));
  const note = (line: string) => process.stderr.write(`${line}\n`);
  const session = loadSource(source, { ...flags, ctx: flags.ctx ?? longest, onWarning: note });
  try {
    const past = Math.max(0, session.info.context - 24);
    const header = describe(session, past, layerMicroseconds(session, past));
    const print = flags.json ? (line: object) => console.log(JSON.stringify(line)) : undefined;
    if (print) print({ machine: header });
    else
      console.log(
        `${Object.entries(header)
          .map(([k, v]) => `${k}: ${v}`)
          .join('\n')}\n`,
      );
    const workloads: Workload[] = [
      ...flags.decodeAt.map((past) => ({ kind: 'decode' as const, tokens: flags.decodeTokens, past })),
      ...flags.prefill.map((tokens) => ({ kind: 'prefill' as const, tokens, past: 0 })),
    ];
    const { repeats, patience } = flags;
    const onRun = (policy: string, { kind, tokens }: Workload, seconds: number) =>
      note(`${kind} ${tokens} ${policy}: ${seconds.toFixed(2)} s`);
    const policies = flags.policies.split(',');
    const found = benchmark(session, { policies, workloads, repeats, patience, onRun });
    if (print) for (const each of found) print(each);
    else console.log(table(found));
  } finally {
    session.close();
  }
}

/** What was loaded and what one expert costs here. */
function describe(session: Session, past: number, layerUs: number): Record<string, string> {
  const { name, accelerator, threads, experts, loadSeconds } = session.info;
  const { copy, contention, cpu } = session.costs;
  const bytes = session.expertBytes;
  const gb = (ms: number) => `${ms.toFixed(3)} ms (${(bytes / ms / 1e6).toFixed(1)} GB/s)`;
  return {
    model: name,
    accelerator: `${accelerator}, ${threads} CPU threads`,
    experts: `${experts.resident} of ${experts.total} resident, ${(bytes / 1e6).toFixed(1)} MB each`,
    loaded: `${loadSeconds.toFixed(1)} s`,
    'one expert on the CPU': gb(cpu(1)),
    'one expert copied': copy > 0 ? gb(copy) : 'nothing is copied',
    'slowed by each other': `CPU ${contention.cpu.toFixed(2)}, copy ${contention.copy.toFixed(2)}`,
    'a layer without experts': `${layerUs.toFixed(0)} µs at ${past} tokens of context`,
  };
}

function table(found: readonly Measurement[]): string {
  const rows = found.map((m) => {
    const what = m.kind === 'decode' ? `decode at ${m.past}` : `prefill ${m.tokens}`;
    const spread = `${(m.tokens / m.seconds.max).toFixed(2)}–${(m.tokens / m.seconds.min).toFixed(2)}`;
    const lanes = `${m.lanes.resident.experts.toFixed(0)}/${m.lanes.streamed.experts.toFixed(0)}/${m.lanes.cpu.experts.toFixed(0)}`;
    return [what, m.policy, m.rate.toFixed(2), spread, lanes, (m.expertBytesPerSecond / 1e9).toFixed(1)];
  });
  const head = ['workload', 'policy', 'tokens/s', 'min–max', 'resident/streamed/CPU', 'expert GB/s'];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  return [head, ...rows].map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')).join('\n');
}
