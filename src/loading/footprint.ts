import { z } from 'zod';
import { CacheEntries, cacheFolder } from '../devices/cache.js';
import { scratchBytes } from '../devices/upload.js';
import { matrixEntries } from '../experts/activations.js';
import { EXPERT_COPIES } from '../experts/host-experts.js';
import { POLICIES } from '../experts/policies/index.js';
import { findExpert } from '../experts/stored.js';
import type { LoadOptions } from '../options.js';
import { expertTotals, residentBytes } from './blueprint.js';
import { PROCESS_BYTES } from './fitting.js';
import type { Layout } from './layout.js';
import type { Machine } from './machine.js';
import { followsUse, pinnedResidents } from './rebalancing.js';
import type { ModelSource } from './source.js';

/** Raised when the process is measured otherwise than before, so that old figures are not taken. */
const REVISION = 3;
/** Drivers change: what is older, in milliseconds, is measured again. */
const LIFETIME = 30 * 24 * 3600 * 1000;
/** What a tokenizer takes for each token of its vocabulary while it is read, in bytes (measured with 50,000 and 150,000). */
const TOKEN_BYTES = 840;

const entries = new CacheEntries('processes', z.object({ bytes: z.number().positive() }));

/** How the process is used, as far as what it takes depends on that. */
export interface ProcessUse {
  dtype?: LoadOptions['dtype'];
  policy?: LoadOptions['policy'];
}

/** What the process takes beside a model: Node.js, JavaScript, libraries and drivers, in bytes; where that was measured. */
export function recallProcess(machine: Machine, use: ProcessUse = {}, folder = cacheFolder()): number | undefined {
  const entry = machine.elsewhere ? undefined : entries.read(processKey(machine, use), folder);
  const age = entry ? Date.now() - entry.time : Number.NaN;
  return age >= 0 && age < LIFETIME ? entry!.value.bytes : undefined;
}

export function rememberProcess(machine: Machine, bytes: number, use: ProcessUse = {}, folder = cacheFolder()): void {
  if (!machine.elsewhere) entries.write(processKey(machine, use), { bytes }, folder);
}

function processKey(machine: Machine, use: ProcessUse): string {
  const { cpu, cores, accelerator } = machine.hardware;
  const used = [machine.kind.name, accelerator?.name ?? '', use.dtype ?? 'auto', processPolicy(machine, use)];
  return [REVISION, process.version, cpu, cores, ...used].join('\n');
}

/** The policy by which the process is measured: a GPU's library takes memory for what is streamed, and for each kernel. */
export function processPolicy({ kind, inRam }: Machine, { policy = POLICIES[0]!.name }: ProcessUse): string {
  return kind.gpu && !inRam ? policy : 'static';
}

/** Bytes that a model's tokenizer takes. */
export function tokenizerBytes(source: ModelSource, vocabulary: number): number {
  return source.tokenizer ? vocabulary * TOKEN_BYTES : 0;
}

/** Bytes of weights that the CPU serves, in the type in which they are computed. */
export function servedBytes({ blueprint, machine, parameters, placement }: Layout): number {
  const missing = expertTotals(blueprint).all - residentBytes(blueprint, placement);
  const others = machine.accelerator === machine.cpu ? parameters.bytes : 0;
  return missing + others + blueprint.embedding.bytes;
}

/** RAM that a model takes once all of it was used, by what for, in bytes. */
export function modelRam(layout: Layout): Record<string, number> {
  const { machine, parameters } = layout;
  const { cpu, accelerator, hostMemory, inRam } = machine;
  const offloads = accelerator !== cpu;
  const elsewhere = (cpu.taken.get(EXPERT_COPIES) ?? 0) + (offloads ? 0 : parameters.copiedBytes);
  return {
    weights: servedBytes(layout),
    'activations and KV cache': cpu.bytes - elsewhere + hostMemory.bytes,
    'converting weights': conversionBytes(layout),
    ...(offloads && inRam && { 'the accelerator': accelerator.bytes }),
  };
}

/**
 * As `modelRam`, with the process, and with resident experts where these follow use.
 * @param processBytes where it was measured @param rebalance as asked for
 * @param available of these bytes of RAM
 */
export function totalRam(
  source: ModelSource,
  layout: Layout,
  { processBytes = PROCESS_BYTES, rebalance, available }: RamOptions,
): { parts: Record<string, number>; follows: boolean } {
  const tokenizer = tokenizerBytes(source, layout.blueprint.spec.vocabulary);
  const parts = { ...modelRam(layout), 'the process': processBytes, tokenizer };
  const follows = followsUse(layout, rebalance, { needed: sumOf(parts), available });
  const pinned = follows ? pinnedResidents(layout) : 0;
  return { parts: pinned > 0 ? { ...parts, 'resident experts': pinned } : parts, follows };
}

export interface RamOptions {
  processBytes?: number;
  rebalance?: boolean;
  available: number;
}

export function sumOf(parts: Record<string, number>): number {
  return Object.values(parts).reduce((a, b) => a + b, 0);
}

/** Most bytes that loading takes to convert weights. */
function conversionBytes({ parameters, checkpoint, blueprint, host, placement }: Layout): number {
  const { expertLayers, expertTypes } = blueprint;
  const scratch = expertLayers.map((spec, l) => {
    if (placement[l]!.length === 0 && !host.mustCopy(l)) return 0;
    const matrices = matrixEntries(findExpert(checkpoint, spec, 0));
    return Math.max(...matrices.map(([name, matrix]) => scratchBytes(matrix, expertTypes[l]![name]!)));
  });
  return Math.max(parameters.scratchBytes, ...scratch);
}
