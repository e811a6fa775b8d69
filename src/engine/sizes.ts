import { FiddlerError } from '../errors.js';
import { STREAM_SLOTS } from '../experts/lanes/slots.js';
import { residentCount } from '../experts/placement.js';
import type { Policy } from '../experts/policy.js';
import { layersOf } from '../models/model.js';
import { type Blueprint, expertTotals } from './blueprint.js';
import { checkBudget, checkCache, checkRam, chunkSize, gib } from './fitting.js';
import { biasBytes, cacheRows } from './inputs.js';
import type { Machine } from './machine.js';
import type { LoadOptions } from './options.js';
import { KvCache } from './parameters.js';
import type { ModelSource } from './source.js';

/** The default of `--ctx`, where the model's own context is longer. */
export const DEFAULT_CONTEXT = 4096;

/** Copies ahead of a layer take as long as attention of a long prompt does: at most so many bytes, and this share of what is left. */
const AHEAD_BYTES = 256 * 2 ** 20;
const AHEAD_SHARE = 1 / 16;

/** What of a model is decided by sizes alone. */
export interface Sizes {
  context: number;
  /** Most tokens of a call. */
  chunk: number;
  /** What a model gives depends on which tokens share a call: a prompt is one call, computed from its first token on. */
  wholePrompts: boolean;
  /** Bytes of the accelerator that may be taken. */
  budget: number;
  /** Experts may be missing on the accelerator and copied to it. */
  streams: boolean;
  /** Experts that the accelerator has room for beside those that are resident: for streaming, prefetches and the cache. */
  slots: number;
  /** Of these, those that serve calls of one token, the cache among them. */
  slotsForOne: number;
  /** Of these, the cache. */
  cached: number;
}

/** Decides what depends on sizes alone, and refuses what cannot fit before anything is loaded. */
export function planSizes(
  source: ModelSource,
  blueprint: Blueprint,
  machine: Machine,
  policies: readonly Policy[],
  options: LoadOptions,
): Sizes {
  const { spec, declarations, parameters, cacheType } = blueprint;
  const context = options.ctx ?? Math.min(spec.context, DEFAULT_CONTEXT);
  const { total, bytes } = expertTotals(blueprint);
  const weights = parameters.reduce((sum, p) => sum + p.bytes, 0);
  const offloads = machine.accelerator !== machine.cpu;
  const mayMiss = options.expertsResident !== 1 || options.gpuMemory !== undefined;
  const streams = offloads && policies.some((policy) => policy.streams) && mayMiss;
  const budget = options.gpuMemory ?? (options.expertsResident === undefined ? machine.freeMemory() : Infinity);
  const perToken = spec.hidden * 4 * 16 + cacheRows(context) * 8 + biasBytes(declarations.relativeBiases, context);
  const caches = KvCache.bytes(declarations.caches, cacheRows(context), cacheType);
  const slots = streams ? planSlots(blueprint, policies, options) : { needed: 0, cached: 0, most: 0 };
  if (!streams && (options.expertCache || options.prefetch)) {
    options.onWarning?.('no expert is streamed, so that neither the expert cache nor prefetch is of use');
  }
  const others = weights + caches + slots.needed * bytes;
  const wholePrompts = layersOf(spec).some(({ moe }) => moe?.capacity);
  // An encoder's tokens look at each other, so that they are one call.
  const oneCall = wholePrompts || spec.encoder !== undefined;
  const chunk = oneCall ? context : chunkSize(context, streams && machine.kind.gpu, perToken, budget, others);
  const needed = others + chunk * perToken;
  const fixed = needed + slots.cached * bytes;
  if (offloads) {
    checkBudget(needed, budget, machine.accelerator.name);
    checkCache(slots.cached * bytes, budget - needed, machine.accelerator.name);
  }
  const fitting = residentCount(budget, fixed, bytes, total);
  const forOne = slots.needed + slots.cached;
  // Copies that run ahead of a layer keep the link busy while that attends.
  const ahead = machine.kind.gpu ? Math.floor(Math.min(AHEAD_BYTES, (budget - fixed) * AHEAD_SHARE) / bytes) : 0;
  const several = streams ? Math.max(forOne, Math.min(slots.needed + ahead, slots.most)) : 0;
  const resident = !offloads ? 0 : Math.min(fitting, (options.expertsResident ?? 1) * total);
  const onCpu = (total - resident) * bytes + blueprint.embedding.bytes;
  const inRam = machine.inRam ? onCpu + fixed + resident * bytes : onCpu;
  if (!source.inMemory && !machine.countsOnly) checkRam(inRam, machine.ram.available);
  return { context, chunk, wholePrompts, budget, streams, slots: several, slotsForOne: forOne, cached: slots.cached };
}

/** Slots that streaming and prefetches take, and those that the expert cache has beside them. @throws FiddlerError `usage` */
function planSlots(
  blueprint: Blueprint,
  policies: readonly Policy[],
  { expertCache = 0, prefetch = policies.some((policy) => policy.prefetches) }: LoadOptions,
) {
  const { total, bytes } = expertTotals(blueprint);
  const chosen = Math.max(0, ...blueprint.expertLayers.map((l) => l.chosen));
  const needed = STREAM_SLOTS + (prefetch ? chosen : 0);
  if (expertCache > 0 && expertCache < bytes) {
    const problem = `an expert cache of ${gib(expertCache)} holds no expert: each takes ${gib(bytes)}`;
    throw new FiddlerError('usage', problem, 'give a larger --expert-cache, or none');
  }
  const most = Math.max(needed, ...blueprint.expertLayers.map((l) => l.count));
  return { needed, most, cached: Math.min(Math.floor(expertCache / bytes), Math.max(0, total - needed)) };
}
