// Compares what a plan predicts with what is then measured, for every policy and several residencies.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepareEnvironment } from '#fiddler/devices/environment.js';
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

interface Measured {
  decode: number;
  ttft: number;
  memory: { accelerator: number; rss: number };
}

/** Medians of several generations, each from an empty KV cache. */
function measure(options: LoadOptions): Measured {
  const session = loadSource(folderSource(args.model), options);
  try {
    const reports = Array.from({ length: repeats + 1 }, (_, seed) => {
      session.score([ids[1]!], 0, () => {}, never);
      return session.generate(ids, { maxTokens: tokens, seed }, never, never);
    }).slice(1);
    const { memory } = reports.at(-1)!;
    return {
      decode: median(reports.map((r) => r.decodeRate)),
      ttft: median(reports.map((r) => r.ttft)),
      memory: { accelerator: memory.accelerator, rss: memory.peakRss },
    };
  } finally {
    session.close();
  }
}

prepareEnvironment({});
const percent = (ours: number, real: number) => `${ours >= real ? '+' : ''}${(100 * (ours / real - 1)).toFixed(0)}%`;
for (const accelerator of args.accelerator.split(',')) {
  const machine = { accelerator, threads: args.threads, ctx: 1024, profile: false } as LoadOptions;
  if (args.threads) machine.threads = Number(args.threads);
  const { rates } = calibrate(folderSource(args.model), machine, CAREFUL);
  for (const residency of accelerator === 'none' ? [0] : args.residency.split(',').map(Number)) {
    const options: LoadOptions = { ...machine, expertsResident: residency / 100 };
    const asked = { ...options, prompts: [prompt], past: prompt + (tokens >> 1) };
    const plan = planModel(folderSource(args.model), asked, () => rates);
    const rows = (accelerator === 'none' ? POLICIES.slice(0, 1) : POLICIES).map(({ name: policy }) => {
      const predicted = plan.policies.find((p) => p.policy === policy)!;
      const measured = measure({ ...options, policy });
      const [decode, ttft] = [1000 / predicted.decode.ms, predicted.prefill[0]!.ms / 1000];
      console.log(
        `${accelerator} ${residency}% ${policy}: decode ${measured.decode.toFixed(0)} tokens/s, predicted ${decode.toFixed(0)} (${percent(decode, measured.decode)}); ` +
          `first token after ${(1000 * measured.ttft).toFixed(2)} ms, predicted ${(1000 * ttft).toFixed(2)} (${percent(ttft, measured.ttft)})`,
      );
      return { policy, measured };
    });
    const fastest = Math.max(...rows.map(({ measured }) => measured.decode));
    const best = rows.find(({ policy }) => policy === plan.policies[0]!.policy)!;
    const { memory } = rows.find(({ policy }) => policy === best.policy)!.measured;
    console.log(
      `${accelerator} ${residency}%: the plan takes ${best.policy}, ${(100 * (best.measured.decode / fastest)).toFixed(0)}% of the fastest; ` +
        `accelerator ${plan.memory.accelerator.total} bytes planned, ${memory.accelerator} taken`,
    );
  }
}
