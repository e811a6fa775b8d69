// Compares what a plan predicts with what is then measured, for every policy and several residencies.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepareEnvironment } from '#fiddler/devices/environment.js';
import { rotated } from '#fiddler/engine/benchmark.js';
import { loadSource } from '#fiddler/engine/load.js';
import type { LoadOptions } from '#fiddler/engine/options.js';
import { folderSource } from '#fiddler/engine/source.js';
import { POLICIES } from '#fiddler/experts/policies/index.js';
import { CAREFUL, calibrate } from '#fiddler/planning/calibrate.js';
import { planModel } from '#fiddler/planning/plan.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const { values: args } = parseArgs({
  options: {
    model: { type: 'string', default: join(root, 'models', 'mini-mixtral') },
    accelerator: { type: 'string', default: 'none,host' },
    residency: { type: 'string', default: '0,25,50' },
    prompt: { type: 'string', default: '128' },
    tokens: { type: 'string', default: '64' },
    repeats: { type: 'string', default: '5' },
    threads: { type: 'string' },
  },
});

const [prompt, tokens, repeats] = [Number(args.prompt), Number(args.tokens), Number(args.repeats)];
const ids = Array.from({ length: prompt }, (_, i) => ((i * 37) % 400) + 3);
const never = () => false;
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;

/** Generations of a load. */
const RUNS = 3;

interface Measured {
  decode: number;
  ttft: number;
  /** Of the accelerator. */
  bytes: number;
}

/** A few generations after one that is not counted, each from an empty KV cache. */
function measure(options: LoadOptions): Measured[] {
  const session = loadSource(folderSource(args.model), options);
  try {
    const reports = Array.from({ length: RUNS + 1 }, (_, seed) => {
      session.score([ids[1]!], 0, () => {}, never);
      return session.generate(ids, { maxTokens: tokens, seed }, never, never);
    });
    const bytes = session.info.memory.accelerator;
    return reports.slice(1).map(({ decodeRate: decode, ttft }) => ({ decode, ttft, bytes }));
  } finally {
    session.close();
  }
}

prepareEnvironment({});
const percent = (ours: number, real: number) => `${ours >= real ? '+' : ''}${(100 * (ours / real - 1)).toFixed(0)}%`;
for (const accelerator of args.accelerator.split(',')) {
  const machine = { accelerator, threads: args.threads, ctx: 1024, profile: false } as LoadOptions;
  if (args.threads) machine.threads = Number(args.threads);
  for (const residency of accelerator === 'none' ? [0] : args.residency.split(',').map(Number)) {
    const options: LoadOptions = { ...machine, expertsResident: residency / 100 };
    const { rates } = calibrate(folderSource(args.model), machine, CAREFUL);
    const asked = { ...options, prompts: [prompt], past: prompt + (tokens >> 1) };
    const plan = planModel(folderSource(args.model), asked, () => rates);
    const names = (accelerator === 'none' ? POLICIES.slice(0, 1) : POLICIES).map(({ name }) => name);
    const found = new Map(names.map((policy) => [policy, [] as Measured[]]));
    // In turn, so that a machine that drifts does so for all alike.
    for (let i = 0; i < repeats; i++) {
      for (const [policy, all] of rotated([...found], i)) all.push(...measure({ ...options, policy }));
    }
    const decodes = new Map([...found].map(([policy, all]) => [policy, median(all.map((m) => m.decode))]));
    for (const [policy, all] of found) {
      const predicted = plan.policies.find((p) => p.policy === policy)!;
      const [decode, ttft] = [1000 / predicted.decode.ms, predicted.prefill[0]!.ms / 1000];
      const measured = { decode: decodes.get(policy)!, ttft: median(all.map((m) => m.ttft)) };
      console.log(
        `${accelerator} ${residency}% ${policy}: decode ${measured.decode.toFixed(0)} tokens/s, predicted ${decode.toFixed(0)} (${percent(decode, measured.decode)}); ` +
          `first token after ${(1000 * measured.ttft).toFixed(2)} ms, predicted ${(1000 * ttft).toFixed(2)} (${percent(ttft, measured.ttft)})`,
      );
    }
    const { policy } = plan.policies[0]!;
    const part = decodes.get(policy)! / Math.max(...decodes.values());
    const { bytes } = found.get(policy)![0]!;
    console.log(
      `${accelerator} ${residency}%: the plan takes ${policy}, ${(100 * part).toFixed(0)}% of the fastest; ` +
        `accelerator ${plan.memory.accelerator.total} bytes planned, ${bytes} taken`,
    );
  }
}
