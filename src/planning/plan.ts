import { expertTotals } from '../engine/blueprint.js';
import { sumOf, totalRam } from '../engine/footprint.js';
import { type Layout, layOut, type OpenModel, openWeights } from '../engine/layout.js';
import type { Machine, StandIn } from '../engine/machine.js';
import type { LoadOptions } from '../engine/options.js';
import { type Prediction, predictDecode, predictPrefill } from '../engine/prediction.js';
import type { Rates } from '../engine/rates.js';
import { scenarioOf } from '../engine/scenario.js';
import type { ModelSource } from '../engine/source.js';
import { FiddlerError } from '../errors.js';
import { residentTotal } from '../experts/placement.js';
import { POLICIES } from '../experts/policies/index.js';

/** What a model would take of a machine and how fast it would be, before any weight is read. Sizes in bytes. */
export interface Plan {
  model: string;
  family: string;
  accelerator: string;
  /** Tokens that the KV cache holds. */
  context: number;
  threads: number;
  /** With the policy that is predicted fastest. */
  memory: {
    accelerator: { budget: number; parts: Record<string, number>; total: number };
    ram: { available: number; parts: Record<string, number>; total: number };
  };
  experts: { resident: number; total: number; bytes: number };
  /** Seconds to load from files that are in memory already. */
  loadSeconds: number;
  /** Fastest first, by decoding. */
  policies: PolicyPlan[];
}

/** One policy's predictions. */
export interface PolicyPlan {
  policy: string;
  resident: number;
  decode: Prediction & { past: number };
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
 * Plans a model by every policy that fits, or by the one that is asked for.
 * @param ratesFor what the model's pieces take on the machine; a policy for which it throws `memory` is left out
 * @param processFor bytes that the process takes there beside a model, where that is known
 * @throws FiddlerError `memory` where no policy is left
 */
export function planModel(
  source: ModelSource,
  options: PlanOptions,
  ratesFor: (layout: Layout) => Rates,
  processFor: (machine: Machine) => number | undefined = () => undefined,
): Plan {
  const names = options.policy ? [options.policy] : POLICIES.map((p) => p.name);
  const plans: ReturnType<typeof planPolicy>[] = [];
  let refusal: unknown;
  const opened = openWeights(source, options);
  try {
    for (const policy of names) {
      try {
        plans.push(planPolicy(source, opened, { ...options, policy }, ratesFor, processFor));
      } catch (error) {
        if (!(error instanceof FiddlerError && error.code === 'memory')) throw error;
        refusal ??= error; // the next policy may need less
      }
    }
  } finally {
    opened.checkpoint.close();
  }
  if (plans.length === 0) throw refusal;
  const fastest = Math.min(...plans.map(({ chosen }) => chosen.decode.ms));
  const best = plans.find(({ chosen }) => chosen.decode.ms <= fastest * (1 + TIE))!;
  const others = plans.filter((p) => p !== best).sort((a, b) => a.chosen.decode.ms - b.chosen.decode.ms);
  return { ...best.plan, policies: [best, ...others].map(({ chosen }) => chosen) };
}

function planPolicy(
  source: ModelSource,
  opened: OpenModel,
  options: PlanOptions,
  ratesFor: (layout: Layout) => Rates,
  processFor: (machine: Machine) => number | undefined,
): { plan: Omit<Plan, 'policies'>; chosen: PolicyPlan } {
  const { prompts, standIn } = options;
  const layout = layOut(source, options, { countsOnly: true, standIn, opened });
  try {
    const rates = ratesFor(layout);
    const scenario = scenarioOf(layout, rates, true);
    const { context } = layout.sizes;
    const past = Math.min(options.past, context - 1);
    const prefill = prompts
      .filter((tokens) => tokens <= context)
      .map((tokens) => ({ tokens, ...predictPrefill(scenario, tokens) }));
    const resident = residentTotal(layout.placement);
    const chosen = { policy: options.policy!, resident, decode: { past, ...predictDecode(scenario, past) }, prefill };
    return { plan: describeLayout(source, layout, rates, processFor(layout.machine)), chosen };
  } finally {
    layout.close();
  }
}

function describeLayout(
  source: ModelSource,
  layout: Layout,
  rates: Rates,
  processBytes: number | undefined,
): Omit<Plan, 'policies'> {
  const { blueprint, machine, sizes, placement, parameters } = layout;
  const { total, bytes } = expertTotals(blueprint);
  const offloads = machine.accelerator !== machine.cpu;
  const parts = offloads ? Object.fromEntries(machine.accelerator.taken) : {};
  const resident = residentTotal(placement);
  const ram = totalRam(source, layout, processBytes);
  const copied = (offloads ? parameters.bytes : parameters.copiedBytes) + resident * bytes;
  return {
    model: source.name,
    family: blueprint.family,
    accelerator: machine.kind.name,
    context: sizes.context,
    threads: machine.threads,
    memory: {
      accelerator: { budget: sizes.budget, parts, total: sumOf(parts) },
      ram: { available: machine.ram.available, parts: ram, total: sumOf(ram) },
    },
    experts: { resident, total, bytes },
    loadSeconds: ((rates.fill ?? 0) * copied) / 1e12,
  };
}
