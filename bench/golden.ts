// Compares models with expected logits and tokens; needs no development dependencies, so it runs on any host.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { prepareEnvironment } from '#fiddler/devices/environment.js';
import { loadEngine } from '#fiddler/engine/load.js';
import type { Workbench } from '#fiddler/engine/workbench.js';
import { spread } from '#fiddler/experts/placement.js';
import { POLICIES, policyNamed } from '#fiddler/experts/policies/index.js';
import type { Costs } from '#fiddler/experts/policy.js';
import type { LoadOptions } from '#fiddler/options.js';
import { EVEN } from './even-costs.js';
import { type GoldenCase, type GoldenModel, goldenNames, readGolden } from './golden-data.js';
import { compareLogits, type LogitsComparison, toleranceOf } from './golden-logits.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const names = POLICIES.map((p) => p.name);

const { values: args } = parseArgs({
  options: {
    accelerator: { type: 'string', default: 'none' },
    dtype: { type: 'string', default: 'f32,auto' },
    model: { type: 'string', multiple: true },
    policy: { type: 'string', default: names.join(',') },
    residency: { type: 'string', default: '0,25,50,100' },
    /** Bytes for a cache of streamed experts; copies ahead, `on` or `off` for each policy alike. */
    'expert-cache': { type: 'string' },
    prefetch: { type: 'string' },
    'cpu-kernels': { type: 'string', default: 'auto' },
    /** Policies decide by costs measured here, in place of those by which they use all lanes. */
    measured: { type: 'boolean', default: false },
    /** Most tokens of a sequence in a call. */
    chunk: { type: 'string' },
    /** Most cases and greedy tokens of a model. */
    cases: { type: 'string', default: '99' },
    /** Resident experts are exchanged while the model runs, where that pays: how many ran is then not compared. */
    rebalance: { type: 'boolean', default: false },
    tokens: { type: 'string', default: '999' },
    golden: { type: 'string', default: join(root, 'test', 'golden') },
    models: { type: 'string', default: join(root, 'models') },
    /** Folder of files NAME.gguf, which are loaded in place of the models. */
    gguf: { type: 'string' },
  },
});

interface Setting {
  accelerator: 'cuda' | 'vulkan' | 'host' | 'none';
  dtype: 'auto' | 'f32';
  policy: string;
  /** Share of experts on the accelerator, in percent. */
  residency: number;
}

/** What a comparison found; `problems` is empty where everything held. */
interface Outcome {
  /** Largest difference of a logit, and the normalised mean squared error. */
  largest: number;
  nmse: number;
  /** Positions in all, those whose likeliest token was compared, and those left out as near-ties of a router. */
  positions: number;
  decided: number;
  excluded: string[];
  /** Experts run by each lane in decoding. */
  lanes: { resident: number; streamed: number; cpu: number };
  cache: { hits: number; usefulPrefetches: number; wastedPrefetches: number };
  problems: string[];
}

const never = () => false;
/** Where costs are not measured, those by which policies use all lanes. */
const COSTS: { readonly [policy: string]: Costs | undefined } = {
  lanes: EVEN, // experts are divided
  fiddler: { ...EVEN, cpu: (tokens) => tokens, copy: 2 }, // those with few tokens are computed on the CPU
};

/** Loads the model anew under one setting and compares every case. */
function check(model: GoldenModel, setting: Setting): Outcome {
  const { accelerator, dtype, policy, residency } = setting;
  const costs = args.measured || accelerator === 'none' ? undefined : COSTS[policy];
  const session = loadEngine(model.dir, {
    accelerator,
    dtype,
    policy: costs ? 'stream' : policy, // the same slots, and no costs are measured
    expertsResident: residency / 100,
    expertCache: args['expert-cache'] ? Number(args['expert-cache']) : undefined,
    prefetch: args.prefetch ? args.prefetch === 'on' : undefined,
    cpuKernels: args['cpu-kernels'] as LoadOptions['cpuKernels'],
    chunk: args.chunk ? Number(args.chunk) : undefined,
    ctx: 512,
    rebalance: args.rebalance,
    profile: false, // which experts are resident is counted
  });
  if (costs) session.use(policyNamed(policy), costs);
  const lanes = { resident: 0, streamed: 0, cpu: 0 };
  const cache = { hits: 0, usefulPrefetches: 0, wastedPrefetches: 0 };
  const outcome: Outcome = {
    largest: 0,
    nmse: 0,
    positions: 0,
    decided: 0,
    excluded: [],
    lanes,
    cache,
    problems: [],
  };
  const tolerance = toleranceOf(model.deviation, accelerator, dtype);
  try {
    for (const each of model.cases.slice(0, Number(args.cases))) {
      addLogits(outcome, each, compareLogits(session, each, tolerance));
      session.forgetSequences(); // an encoder reads its prompt once more, whose experts count
      compareTokens(session, each, setting, outcome);
    }
    checkLanes(setting, outcome);
  } finally {
    session.close();
  }
  return outcome;
}

function addLogits(outcome: Outcome, { tokens }: GoldenCase, found: LogitsComparison): void {
  outcome.largest = Math.max(outcome.largest, found.largest);
  outcome.nmse = Math.max(outcome.nmse, found.nmse);
  outcome.positions += tokens.length;
  outcome.decided += found.decided;
  outcome.excluded.push(...found.excluded);
  outcome.problems.push(...found.problems);
}

/** Greedy decoding; the lanes must have run just the experts that the routers chose, the resident ones where they lie. */
function compareTokens(
  session: Workbench,
  { tokens, source = tokens, continuation }: GoldenCase,
  setting: Setting,
  outcome: Outcome,
): void {
  const expected = continuation.slice(0, Number(args.tokens));
  const before = session.usage.executions.map((layer) => layer.slice());
  const generated: number[] = [];
  const options = { temperature: 0, maxTokens: expected.length };
  const { lanes, cache } = session.generate(source, options, (token) => generated.push(token) < 0, never);
  if (setting.dtype === 'f32' && generated.some((token, i) => token !== expected[i])) {
    outcome.problems.push(`greedy tokens differ: ${generated} instead of ${expected}`);
  }
  const sizes = before.map((layer) => layer.length);
  const total = sizes.reduce((a, b) => a + b, 0);
  const offloads = setting.accelerator !== 'none';
  const placement = spread(offloads ? Math.round((setting.residency / 100) * total) : 0, sizes);
  let [all, resident] = [0, 0];
  session.usage.executions.forEach((layer, l) => {
    layer.forEach((count, e) => {
      const chosen = count - before[l]![e]!;
      all += chosen;
      if (placement[l]!.includes(e)) resident += chosen;
    });
  });
  const ran = { resident: lanes.resident.experts, streamed: lanes.streamed.experts, cpu: lanes.cpu.experts };
  for (const lane of ['resident', 'streamed', 'cpu'] as const) outcome.lanes[lane] += ran[lane];
  for (const what of ['hits', 'usefulPrefetches', 'wastedPrefetches'] as const) outcome.cache[what] += cache[what];
  if (!args.rebalance && ran.resident !== resident)
    outcome.problems.push(`${ran.resident} resident experts ran instead of ${resident}`);
  // An expert that is divided counts in two lanes by its parts.
  if (Math.abs(ran.resident + ran.streamed + ran.cpu - all) > 1e-6)
    outcome.problems.push(`lanes ran other than ${all} experts`);
}

/** The lanes that a policy must and must not use. */
function checkLanes({ accelerator, policy, residency }: Setting, { lanes, problems }: Outcome): void {
  const offloads = accelerator !== 'none';
  const missing = offloads ? residency < 100 : true;
  const expect = (lane: keyof typeof lanes, used: boolean) => {
    if (lanes[lane] > 0 !== used) problems.push(`the ${lane} lane ran ${lanes[lane]} experts`);
  };
  expect('resident', offloads && residency > 0);
  if (!offloads || policy === 'static') expect('cpu', missing);
  if (!offloads || policy === 'static' || !missing) expect('streamed', false);
  if (offloads && policy === 'lanes' && !args.measured && missing) {
    // Where a layer misses one expert that cannot be divided, the CPU may have it all.
    if (residency === 0) expect('streamed', true);
    expect('cpu', true);
  }
  if (offloads && (policy === 'stream' || policy === 'lru')) {
    expect('streamed', missing);
    expect('cpu', false);
  }
}

function settings(accelerator: Setting['accelerator']): Setting[] {
  const residencies = accelerator === 'none' ? [0] : args.residency.split(',').map(Number);
  return args.dtype
    .split(',')
    .flatMap((dtype) =>
      args.policy
        .split(',')
        .flatMap((policy) =>
          residencies.map((residency) => ({ accelerator, dtype: dtype as Setting['dtype'], policy, residency })),
        ),
    );
}

function main(): number {
  const accelerator = args.accelerator as Setting['accelerator'];
  // Vulkan decides at loading how it multiplies float32, so a process checks one type.
  if (accelerator === 'vulkan' && args.dtype.includes(',')) throw new Error('--accelerator vulkan takes one --dtype');
  prepareEnvironment({ dtype: args.dtype.includes('f32') ? 'f32' : 'auto' });
  let failed = 0;
  let passed = 0;
  for (const name of args.model ?? goldenNames(args.golden)) {
    const golden = readGolden(args.golden, args.models, name);
    const model = args.gguf ? { ...golden, dir: join(args.gguf, `${name}.gguf`) } : golden;
    for (const setting of settings(accelerator)) {
      const outcome = check(model, setting);
      const { largest, nmse, lanes, cache, problems } = outcome;
      if (problems.length > 0) failed++;
      else passed++;
      const what = `${name} ${accelerator} ${setting.dtype} ${setting.policy} ${setting.residency}%`;
      const differs = `largest ${largest.toExponential(1)} nmse ${nmse.toExponential(1)}`;
      const found = `${differs} argmax ${outcome.decided}/${outcome.positions}`;
      const count = (experts: number) => `${Number(experts.toFixed(2))}`;
      const ran = `resident ${count(lanes.resident)} streamed ${count(lanes.streamed)} cpu ${count(lanes.cpu)}`;
      const saved = `hits ${cache.hits} prefetches ${cache.usefulPrefetches} useful ${cache.wastedPrefetches} wasted`;
      console.log(`${problems.length > 0 ? 'FAIL' : 'ok  '} ${what}: ${found}; ${ran}; ${saved}`);
      for (const line of outcome.excluded) console.log(`       left out: ${line}`);
      for (const problem of problems) console.log(`       ${problem}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

process.exitCode = main();
