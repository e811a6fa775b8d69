import type { Command } from 'commander';
import { prepareEnvironment } from '../devices/environment.js';
import type { CopyRates } from '../devices/link.js';
import type { Contender, Workload } from '../engine/benchmark.js';
import type { LayerTimeline } from '../engine/timeline.js';
import type { Workbench } from '../engine/workbench.js';
import { FiddlerError } from '../errors.js';
import { POLICIES, policyNamed } from '../experts/policies/index.js';
import { GUESS_RECALL } from '../models/router-random.js';
import { MOST_SEQUENCES } from '../options.js';
import { prepareReport, writeReport } from './bench-report.js';
import { type BenchResults, commandLine } from './bench-results.js';
import { describe, table } from './bench-table.js';
import { addModelArgument } from './model.js';
import { addCommon, addLoadOptions, type ModelFlags } from './options.js';
import { VERSION } from './package.js';
import { integer, integers, number } from './parse.js';
import { presentModel } from './pull.js';
import { addSyntheticOptions, type SyntheticFlags } from './synthetic.js';

interface BenchFlags extends ModelFlags, SyntheticFlags {
  zipf: number;
  locality: number;
  drift: number;
  guessRecall: number;
  policies: string;
  compareCache?: boolean;
  prefill: number[];
  decodeAt: number[];
  decodeTokens: number;
  parallel: number[];
  repeats: number;
  patience: number;
  json?: boolean;
  report?: string;
}

const EXAMPLES = `
fiddler bench
fiddler bench ~/models/Mixtral-8x7B-v0.1 --gpu-memory 24GiB
fiddler bench --synthetic mixtral-8x7b --gpu-memory 24GiB --report mixtral`;

export function addBench(program: Command): void {
  const command = program
    .command('bench')
    .description('measure this machine and model: every policy in turn, in decoding and in prefill');
  addSyntheticOptions(addModelArgument(command))
    .option('--zipf <s>', 'skew of the random routing of --synthetic', number(0), 0)
    .option('--locality <share>', 'how often it repeats an expert of the last tokens', number(0, 1), 0)
    .option('--drift <share>', 'tokens at which two experts of a layer exchange how popular they are', number(0, 1), 0)
    .option(
      '--guess-recall <share>',
      'how many of the experts guessed for the next layer of --synthetic are right',
      number(0, 1),
      GUESS_RECALL,
    )
    .option('--policies <names>', 'policies to compare', POLICIES.map((p) => p.name).join(','))
    .option(
      '--compare-cache',
      'run the policies that stream with the expert cache and prefetch on and off; give --expert-cache',
    )
    .option('--prefill <lengths>', 'prompt lengths', integers(1), [32, 128, 512, 2048])
    .option('--decode-at <contexts>', 'tokens of context to decode behind', integers(0), [128, 1000])
    .option('--decode-tokens <n>', 'tokens decoded in a run', integer(1), 8)
    .option('--parallel <counts>', 'sequences that decode at once', integers(1, MOST_SEQUENCES), [1])
    .option('--repeats <n>', 'runs of each, after one that is not counted', integer(1), 3)
    .option('--patience <seconds>', 'what takes longer is run once', number(0), 5)
    .option('--rebalance', 'let resident experts follow use')
    .option('--json', 'one JSON object a line')
    .option('--report <dir>', 'write a page with plots (index.html) and results.json into this folder');
  addLoadOptions(command);
  addCommon(command, EXAMPLES).action((_: unknown, flags: BenchFlags) => bench(flags));
}

async function bench(flags: BenchFlags): Promise<void> {
  if (flags.report) prepareReport(flags.report);
  prepareEnvironment(flags);
  // Only this command computes in the main thread; the others start faster without what that takes.
  const { benchmark, contenderName, contendersOf, layerMicroseconds } = await import('../engine/benchmark.js');
  const { recordTimeline } = await import('../engine/timeline.js');
  const { loadSource } = await import('../engine/load.js');
  const { folderSource } = await import('../loading/source.js');
  const { syntheticSource } = await import('../loading/synthetic.js');
  const { synthetic, layers, type, zipf, locality, drift, guessRecall, compareCache = false } = flags;
  const source = synthetic
    ? syntheticSource(synthetic, { layers, type, routing: { zipf, locality, drift, guessRecall } })
    : folderSource(await presentModel(flags, new AbortController().signal));
  const policies = flags.policies.split(',');
  const contenders = contendersOf(policies, compareCache);
  const longest = Math.max(...flags.prefill, ...flags.decodeAt.map((n) => n + flags.decodeTokens));
  const note = (line: string) => process.stderr.write(`${line}\n`);
  const prefetch = compareCache || flags.prefetch;
  const sequences = Math.max(...flags.parallel);
  const options = {
    sequences,
    ...flags,
    rebalance: flags.rebalance ?? false,
    prefetch,
    ctx: flags.ctx ?? longest,
    onWarning: note,
  };
  const session = loadSource(source, options, policies.map(policyNamed));
  try {
    const past = Math.max(0, session.info.context - 24);
    const header = describe(session, past, layerMicroseconds(session, past), copyRatesOf(session, note));
    const print = flags.json ? (line: object) => console.log(JSON.stringify(line)) : undefined;
    if (print) print({ machine: header });
    else
      console.log(
        `${Object.entries(header)
          .map(([k, v]) => `${k}: ${v}`)
          .join('\n')}\n`,
      );
    const workloads: Workload[] = [
      ...flags.decodeAt.flatMap((past) =>
        flags.parallel.map((sequences) => ({ kind: 'decode' as const, tokens: flags.decodeTokens, past, sequences })),
      ),
      ...flags.prefill.map((tokens) => ({ kind: 'prefill' as const, tokens, past: 0 })),
    ];
    const { repeats, patience } = flags;
    const onRun = (contender: Contender, { kind, tokens, sequences = 1 }: Workload, seconds: number) =>
      note(
        `${kind} ${sequences > 1 ? `${sequences} × ` : ''}${tokens} ${contenderName(contender)}: ${seconds.toFixed(2)} s`,
      );
    const found = benchmark(session, { contenders, workloads, repeats, patience, onRun });
    if (print) for (const each of found) print(each);
    else console.log(table(found));
    if (!flags.report) return;
    const results: BenchResults = {
      version: VERSION,
      model: session.info.name,
      hardware: session.hardware,
      date: new Date().toISOString(),
      command: commandLine(),
      loaded: header,
      measurements: found,
      timelines: policies.map((policy): LayerTimeline => recordTimeline(session, policy, past)),
    };
    writeReport(flags.report, results);
    note(`wrote ${flags.report}/index.html and results.json`);
  } finally {
    session.close();
  }
}

/** Undefined where nothing is copied, or there is no room to measure it. */
function copyRatesOf(session: Workbench, note: (line: string) => void): CopyRates | undefined {
  try {
    return session.measureCopies();
  } catch (error) {
    if (!(error instanceof FiddlerError && error.code === 'memory')) throw error;
    note(`copies were not measured: ${error.problem}`);
    return undefined;
  }
}
