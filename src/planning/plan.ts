import { FiddlerError } from '../errors.js';
import { residentTotal } from '../experts/placement.js';
import { POLICIES } from '../experts/policies/index.js';
import { expertTotals, residentBytes } from '../loading/blueprint.js';
import { checkRam } from '../loading/fitting.js';
import { type RamOptions, sumOf, totalRam } from '../loading/footprint.js';
import { checkDisk } from '../loading/keeping.js';
import { keptBytes, keptFolder } from '../loading/kept.js';
import { checkLayout, type Layout, layOut, type OpenModel, openWeights } from '../loading/layout.js';
import type { Machine, StandIn } from '../loading/machine.js';
import type { ModelSource } from '../loading/source.js';
import { typesLine } from '../loading/types.js';
import type { LoadOptions } from '../options.js';
import { type Prediction, predictDecode, predictPrefill } from '../pace/prediction.js';
import type { Rates } from '../pace/rates.js';
import { scenarioOf } from '../pace/scenario.js';
import type { Scenario } from '../pace/simulation.js';

/** What a model would take of a machine and how fast it would be, before any weight is read. Sizes in bytes. */
export interface Plan {
  model: string;
  family: string;
  accelerator: string;
  /** Tokens of each sequence that the KV cache holds, and sequences. */
  context: number;
  sequences: number;
  threads: number;
  /** With the policy that is predicted fastest. */
  memory: {
    accelerator: { budget: number; parts: Record<string, number>; total: number };
    ram: { available: number; parts: Record<string, number>; total: number };
    /** Tables that stay in the files, of which each token reads a few rows. */
    tables: number;
    /** The file under the cache folder of what was quantized, where it is kept. */
    kept?: { bytes: number; there: boolean };
  };
  /** `bytes` of the largest; `types` of their matrices, and the kernels that compute them on the CPU. */
  experts: { resident: number; total: number; bytes: number; types: string; kernels: string };
  /** Seconds to load from files that are in memory already; where rates are known. */
  loadSeconds?: number;
  /** Fastest first, by decoding of as many sequences as there is room for; none where rates are not known. */
  policies: PolicyPlan[];
  /** What does not fit, each with what to do; none where it fits. */
  shortages: string[];
}

/** One policy's predictions. */
export interface PolicyPlan {
  policy: string;
  resident: number;
  decode: Prediction & { past: number };
  /** Decoding of all sequences at once, `ms` of a call; where there is to be room for several. Tokens a second. */
  together?: Prediction & { past: number; sequences: number; rate: { sum: number; each: number } };
  /** For each asked length of a prompt. */
  prefill: (Prediction & { tokens: number })[];
}

/** What is planned for. */
export interface PlanOptions extends LoadOptions {
  /** Lengths of prompts, and tokens before those that are decoded. */
  prompts: readonly number[];
  past: number;
  /** Another machine than this one. */
  standIn?: StandIn;
}

/** Within this of the fastest a policy counts as equal, and the one that comes first in the registry is taken. */
const TIE = 0.02;

/**
 * Plans a model by every policy that fits, or by the one that is asked for; where none fits, by those that do not.
 * @param ratesFor what the model's pieces take on the machine; where it throws `memory`, the plan predicts nothing
 * @param processFor bytes that the process takes there beside a model, where that is known
 */
export function planModel(
  source: ModelSource,
  options: PlanOptions,
  ratesFor: (layout: Layout) => Rates,
  processFor: (machine: Machine) => number | undefined = () => undefined,
): Plan {
  const names = options.policy ? [options.policy] : POLICIES.map((p) => p.name);
  const opened = openWeights(source, options);
  try {
    const plans = names.map((policy) => planPolicy(source, opened, { ...options, policy }, ratesFor, processFor));
    const fitting = plans.filter(({ shortages }) => shortages.length === 0);
    return combined(fitting.length > 0 ? fitting : plans);
  } finally {
    opened.checkpoint.close();
  }
}

/** The plan by the fastest of several policies, with the predictions of all. */
function combined(plans: readonly Plan[]): Plan {
  const time = ({ policies: [of] }: Plan) => (of ? (of.together ?? of.decode).ms : Infinity);
  const fastest = Math.min(...plans.map(time));
  const best = plans.find((plan) => time(plan) <= fastest * (1 + TIE))!;
  const others = plans.filter((plan) => plan !== best).sort((a, b) => time(a) - time(b));
  return { ...best, policies: [best, ...others].flatMap(({ policies }) => policies) };
}

function planPolicy(
  source: ModelSource,
  opened: OpenModel,
  options: PlanOptions,
  ratesFor: (layout: Layout) => Rates,
  processFor: (machine: Machine) => number | undefined,
): Plan {
  const layout = layOut(source, options, { countsOnly: true, standIn: options.standIn, opened });
  const { machine } = layout;
  try {
    const tight = refusalOf(() => checkLayout(layout));
    let rates: Rates | undefined;
    const unmeasured = refusalOf(() => {
      rates = ratesFor(layout);
    });
    const process = tight || unmeasured ? undefined : processFor(machine);
    const plan = describeLayout(source, layout, rates, { processBytes: process, rebalance: options.rebalance });
    const short = refusalOf(() => checkRam(plan.memory.ram.total, plan.memory.ram.available, plan.sequences));
    const kept = options.keep ? { bytes: keptBytes(layout), there: layout.blueprint.kept !== undefined } : undefined;
    const writes = kept && !kept.there && !machine.elsewhere;
    const full = writes ? refusalOf(() => checkDisk(keptFolder(), kept.bytes)) : undefined;
    const found = [tight, short, full].filter((line) => line !== undefined);
    const shortages = found.length === 0 && unmeasured ? [unmeasured] : found;
    if (kept) plan.memory.kept = kept;
    // What quantizing takes is not measured.
    if (options.quantize !== undefined && !kept?.there) delete plan.loadSeconds;
    return { ...plan, policies: rates ? [predictPolicy(layout, rates, options)] : [], shortages };
  } finally {
    layout.close();
  }
}

/** What of a model does not fit this machine, each with what to do, by its headers alone; nothing is measured. */
export function shortagesOf(source: ModelSource, options: LoadOptions): string[] {
  const opened = openWeights(source, options);
  try {
    const layout = layOut(source, options, { countsOnly: true, opened });
    try {
      const { available } = layout.machine.ram;
      const ram = sumOf(totalRam(source, layout, { rebalance: options.rebalance, available }).parts);
      const checks = [() => checkLayout(layout), () => checkRam(ram, available, layout.sizes.sequences)];
      return checks.map(refusalOf).filter((line) => line !== undefined);
    } finally {
      layout.close();
    }
  } finally {
    opened.checkpoint.close();
  }
}

/** Why `action` finds that something does not fit; undefined where it fits. */
function refusalOf(action: () => void): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof FiddlerError && error.code === 'memory') return error.message;
    throw error;
  }
}

function predictPolicy(layout: Layout, rates: Rates, options: PlanOptions): PolicyPlan {
  const scenario = scenarioOf(layout, rates, true);
  const { context, sequences } = layout.sizes;
  const past = Math.min(options.past, context - 1);
  const prefill = options.prompts
    .filter((tokens) => tokens <= context)
    .map((tokens) => ({ tokens, ...predictPrefill(scenario, tokens) }));
  const resident = residentTotal(layout.placement);
  const decode = { past, ...predictDecode(scenario, past) };
  const together = sequences > 1 ? { together: predictTogether(scenario, past, sequences) } : {};
  return { policy: options.policy!, resident, decode, ...together, prefill };
}

function predictTogether(scenario: Scenario, past: number, sequences: number): PolicyPlan['together'] {
  const prediction = predictDecode(scenario, past, sequences);
  const each = 1000 / prediction.ms;
  return { past, sequences, rate: { sum: sequences * each, each }, ...prediction };
}

function describeLayout(
  source: ModelSource,
  layout: Layout,
  rates: Rates | undefined,
  asked: Omit<RamOptions, 'available'>,
): Omit<Plan, 'policies' | 'shortages'> {
  const { blueprint, machine, sizes, placement, parameters } = layout;
  const { total, bytes } = expertTotals(blueprint);
  const offloads = machine.accelerator !== machine.cpu;
  const parts = offloads ? Object.fromEntries(machine.accelerator.taken) : {};
  const resident = residentTotal(placement);
  const { available } = machine.ram;
  const { parts: ram } = totalRam(source, layout, { ...asked, available });
  const copied = (offloads ? parameters.bytes : parameters.copiedBytes) + residentBytes(blueprint, placement);
  return {
    model: source.name,
    family: blueprint.family,
    accelerator: machine.kind.name,
    context: sizes.context,
    sequences: sizes.sequences,
    threads: machine.threads,
    memory: {
      accelerator: { budget: sizes.budget, parts, total: sumOf(parts) },
      ram: { available, parts: ram, total: sumOf(ram) },
      tables: blueprint.tables.reduce((sum, table) => sum + table.bytes, 0),
    },
    experts: { resident, total, bytes, types: typesLine(blueprint), kernels: layout.experts.kernels },
    loadSeconds: rates && ((rates.fill ?? 0) * copied) / 1e12,
  };
}
