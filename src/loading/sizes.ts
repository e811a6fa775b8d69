import { FiddlerError } from '../errors.js';
import { STREAM_SLOTS } from '../experts/lanes/stream-cache.js';
import { residentCount } from '../experts/placement.js';
import type { Policy } from '../experts/policy.js';
import { layersOf } from '../models/model.js';
import { biasBytes, cacheRows } from '../network/inputs.js';
import { keptRows } from '../network/ring.js';
import type { LoadOptions } from '../options.js';
import { type Blueprint, cacheType, expertTotals } from './blueprint.js';
import { checkBudget, checkCache, checkContext, checkRam, chunkSize, gib } from './fitting.js';
import type { Machine } from './machine.js';
import { KvCache, StateMemory } from './parameters.js';
import type { ModelSource } from './source.js';

/** The default of `--ctx`, where the model's own context is longer. */
const DEFAULT_CONTEXT = 4096;

/** Of a mask for one token and one row of the KV cache, at most: a bias is float32. */
const MASK_BYTES = 4;

/** Copies ahead of a layer take as long as attention of a long prompt does: at most so many bytes, and this share of what is left. */
const AHEAD_BYTES = 256 * 2 ** 20;
const AHEAD_SHARE = 1 / 16;

/** What of a model is decided by sizes alone. */
export interface Sizes {
  context: number;
  /** Sequences that are computed at once, each with rows of the KV cache for a context. */
  sequences: number;
  /** Of these, how many layers keep, by their sliding window; 0 stands for none. */
  rows: ReadonlyMap<number, number>;
  /** Most tokens of a sequence in a call. */
  chunk: number;
  /** Most tokens of a call: a chunk of one sequence, and a token of each other. */
  calls: number;
  /** What a model gives depends on which tokens share a call: a prompt is one call, computed from its first token on. */
  wholePrompts: boolean;
  /** Bytes of the accelerator that may be taken. */
  budget: number;
  /** Of these, what must be there whatever is resident, by an estimate of the activations; the expert cache is not in it. */
  needed: number;
  /** Bytes of the expert cache. */
  cache: number;
  /** Experts may be missing on the accelerator and copied to it. */
  streams: boolean;
  /** Experts that the accelerator has room for beside those that are resident: for streaming, prefetches and the cache. */
  slots: number;
  /** Of these, those that serve calls of one token, the cache among them. */
  slotsForOne: number;
  /** Of these, the cache. */
  cached: number;
}

/** @throws FiddlerError `memory` where the accelerator does not hold what must be there */
export function checkAccelerator({ needed, cache, budget, sequences }: Sizes, accelerator: string): void {
  checkBudget(needed, budget, accelerator, sequences);
  checkCache(cache, budget - needed, accelerator);
}

/** Decides what depends on sizes alone, and refuses what cannot fit before anything is loaded; what only counts may be too large. */
export function planSizes(
  source: ModelSource,
  blueprint: Blueprint,
  machine: Machine,
  policies: readonly Policy[],
  options: LoadOptions,
): Sizes {
  const { spec, declarations, parameters } = blueprint;
  const context = options.ctx ?? Math.min(spec.context, DEFAULT_CONTEXT);
  const { sequences = 1 } = options;
  const { total, bytes, all } = expertTotals(blueprint);
  const weights = parameters.reduce((sum, p) => sum + p.bytes, 0);
  const offloads = machine.accelerator !== machine.cpu;
  const mayMiss = options.expertsResident !== 1 || options.gpuMemory !== undefined;
  const streams = offloads && !blueprint.expertsOnCpu && policies.some((policy) => policy.streams) && mayMiss;
  const budget = options.gpuMemory ?? (options.expertsResident === undefined ? machine.freeMemory() : Infinity);
  const hidden = spec.hidden * (12 + 4 * (spec.streams?.count ?? 1));
  const perToken = hidden * 4 + cacheRows(context) * 8 + biasBytes(declarations.relativeBiases, context);
  const { caches, blocks } = declarations;
  const rowsBy = (tokens: number) => {
    const step = Math.max(machine.kind.cacheStep, ...blocks.keys()); // rings hold whole blocks
    const keeps = { context, chunk: tokens, step };
    return new Map([0, ...caches.map(({ window }) => window)].map((window) => [window, keptRows(window, keeps)]));
  };
  const states = StateMemory.bytes(declarations.states, sequences);
  const type = cacheType(blueprint, machine);
  const keptBytes = (rows: Sizes['rows']) => states + sequences * KvCache.bytes(caches, rows, type);
  const slots = streams ? planSlots(blueprint, policies, options) : { needed: 0, cached: 0, most: 0 };
  if (!streams && (options.expertCache || options.prefetch)) {
    options.onWarning?.('no expert is streamed, so that neither the expert cache nor prefetch is of use');
  }
  const others = (tokens: number) => weights + keptBytes(rowsBy(tokens)) + slots.needed * bytes;
  const wholePrompts = layersOf(spec).some(({ moe }) => moe?.capacity);
  // An encoder's tokens look at each other, so that they are one call.
  const oneCall = wholePrompts || spec.encoder !== undefined;
  const asked = options.chunk ?? chunkSize(context, machine.kind.gpu, perToken, budget, others);
  const chunk = oneCall ? context : Math.min(context, asked);
  const calls = chunk + sequences - 1;
  const rows = rowsBy(chunk);
  const needed = others(chunk) + calls * perToken;
  if (options.ctx !== undefined) {
    const has = offloads ? machine.freeMemory() : machine.ram.total; // less than that is a matter of --gpu-memory
    const mask = cacheRows(context) * calls * MASK_BYTES;
    checkContext(context, { takes: keptBytes(rows) + calls * perToken, has, mask, sequences });
  }
  const cache = slots.cached * bytes;
  const fixed = needed + cache;
  const mean = all / total;
  const fitting = residentCount(budget, fixed, mean, total);
  const forOne = slots.needed + slots.cached;
  // Copies that run ahead of a layer keep the link busy while that attends.
  const ahead = machine.kind.gpu ? Math.floor(Math.min(AHEAD_BYTES, (budget - fixed) * AHEAD_SHARE) / bytes) : 0;
  const several = streams ? Math.max(forOne, Math.min(slots.needed + ahead, slots.most)) : 0;
  const resident = !offloads || blueprint.expertsOnCpu ? 0 : Math.min(fitting, (options.expertsResident ?? 1) * total);
  const { cached } = slots;
  const chosen = { context, sequences, rows, chunk, calls, wholePrompts, budget, needed, cache, streams, cached };
  const sizes: Sizes = { ...chosen, slots: several, slotsForOne: forOne };
  if (machine.countsOnly) return sizes;
  if (offloads) checkAccelerator(sizes, machine.accelerator.name);
  const onCpu = (total - resident) * mean + blueprint.embedding.bytes;
  const inRam = machine.inRam ? onCpu + fixed + resident * mean : onCpu;
  if (!source.inMemory) checkRam(inRam, machine.ram.available, sequences);
  return sizes;
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
