import { availableRam } from '../devices/cores.js';
import { MappedTensors } from '../devices/mapped.js';
import { Uploader } from '../devices/upload.js';
import { FiddlerError } from '../errors.js';
import { Experts } from '../experts/experts.js';
import { HostExperts } from '../experts/host-experts.js';
import { nativeComputes } from '../experts/lanes/native.js';
import { STREAM_SLOTS, StreamSlots } from '../experts/lanes/slots.js';
import { measureCosts } from '../experts/measure.js';
import { pinExperts } from '../experts/pinning.js';
import { type Placement, residentCount } from '../experts/placement.js';
import { POLICIES, policyNamed } from '../experts/policies/index.js';
import type { Policy } from '../experts/policy.js';
import type { ExpertsSpec } from '../experts/spec.js';
import { loadExpertKernels } from '../ggml/experts.js';
import type { Type } from '../ggml/tensor.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { type Blueprint, describe, drawBlueprint, expertTotals } from './blueprint.js';
import { checkBudget, checkCache, checkRam, chunkSize, gib } from './fitting.js';
import { cacheRows } from './inputs.js';
import { Machine } from './machine.js';
import { Network } from './network.js';
import type { LoadOptions } from './options.js';
import { KvCache, Parameters } from './parameters.js';
import { placeResident } from './residency.js';
import { Session } from './session.js';
import { folderSource, type ModelSource } from './source.js';
import { Constants, readVectors } from './vectors.js';

/** The default of `--ctx`, where the model's own context is longer. */
export const DEFAULT_CONTEXT = 4096;

/** Loads the model in the folder `dir`; blocks. @throws FiddlerError */
export function loadEngine(dir: string, options: LoadOptions): Session {
  return loadSource(folderSource(dir), options);
}

/**
 * Loads a model and divides it between the devices; blocks.
 * @param compared policies that the session will use too: there is room for what they need, and costs are measured for them
 * @throws FiddlerError
 */
export function loadSource(source: ModelSource, options: LoadOptions, compared: readonly Policy[] = []): Session {
  const begin = performance.now();
  const undo: (() => void)[] = [];
  const own: Own = (thing, free) => {
    undo.push(() => free(thing));
    return thing;
  };
  const close = () => {
    while (undo.length > 0) undo.pop()!();
  };
  try {
    const description = describe(source);
    const checkpoint = own(source.open(description.spec, description.declarations), (c) => c.close());
    const blueprint = drawBlueprint(description, checkpoint, options.dtype ?? 'auto');
    const policy = policyNamed(options.policy ?? POLICIES[0]!.name);
    const machine = own(new Machine(options.accelerator ?? 'auto', options), (m) => m.free());
    const policies = [policy, ...compared];
    const sizes = planSizes(source, blueprint, machine, policies, options);
    const parts = build({
      checkpoint,
      blueprint,
      machine,
      policy,
      sizes,
      cpuKernels: options.cpuKernels,
      prefetch: options.prefetch,
      own,
    });
    const placement = placeExperts(parts, options);
    fill(parts, placement, options.onProgress);
    if (sizes.streams && machine.kind.gpu) pinMissing(parts, placement);
    if (parts.experts.native) machine.yieldCores();
    if (policies.some(({ byCost }) => byCost)) measureCosts(parts.experts, blueprint.expertLayers, sizes);
    const seconds = (performance.now() - begin) / 1000;
    return new Session({ ...parts, name: source.name, seconds, ram: servedBytes(parts, placement), close });
  } catch (error) {
    close();
    throw error;
  }
}

type Own = <T>(thing: T, free: (thing: T) => void) => T;

interface Sizes {
  context: number;
  chunk: number;
  /** Bytes of the accelerator that may be taken. */
  budget: number;
  /** Experts may be missing on the accelerator and copied to it. */
  streams: boolean;
  /** Experts that the accelerator has room for beside those that are resident: for streaming, prefetches and the cache. */
  slots: number;
  /** Of these, the cache. */
  cached: number;
}

/** Decides what depends on sizes alone, and refuses what cannot fit before anything is loaded. */
function planSizes(
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
  const perToken = spec.hidden * 4 * 16 + cacheRows(context) * 8;
  const chunk = chunkSize(context, streams && machine.kind.gpu, perToken, budget);
  const caches = KvCache.bytes(declarations.caches, cacheRows(context), cacheType);
  const slots = streams ? planSlots(blueprint, policies, options) : { needed: 0, cached: 0 };
  if (!streams && (options.expertCache || options.prefetch)) {
    options.onWarning?.('no expert is streamed, so that neither the expert cache nor prefetch is of use');
  }
  const needed = weights + caches + chunk * perToken + slots.needed * bytes;
  const fixed = needed + slots.cached * bytes;
  if (offloads) {
    checkBudget(needed, budget, machine.accelerator.name);
    checkCache(slots.cached * bytes, budget - needed, machine.accelerator.name);
  }
  const fitting = residentCount(budget, fixed, bytes, total);
  const resident = !offloads ? 0 : Math.min(fitting, (options.expertsResident ?? 1) * total);
  const onCpu = (total - resident) * bytes + blueprint.embedding.bytes;
  const inRam = machine.kind.gpu ? onCpu : onCpu + fixed + resident * bytes;
  if (!source.inMemory) checkRam(inRam, availableRam().available);
  return { context, chunk, budget, streams, slots: slots.needed + slots.cached, cached: slots.cached };
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
  return { needed, cached: Math.min(Math.floor(expertCache / bytes), Math.max(0, total - needed)) };
}

interface Parts {
  checkpoint: Checkpoint;
  blueprint: Blueprint;
  machine: Machine;
  policy: Policy;
  sizes: Sizes;
  cpuKernels: LoadOptions['cpuKernels'];
  prefetch: LoadOptions['prefetch'];
  parameters: Parameters;
  network: Network;
  host: HostExperts;
  experts: Experts;
  own: Own;
}

/** Allocates everything but the experts. */
function build(
  given: Pick<Parts, 'checkpoint' | 'blueprint' | 'machine' | 'policy' | 'sizes' | 'own' | 'cpuKernels' | 'prefetch'>,
): Parts {
  const { checkpoint, blueprint, machine, policy, sizes, prefetch, own } = given;
  const { cpu, accelerator, hostType } = machine;
  const { spec, declarations, expertLayers } = blueprint;
  const { chunk, context } = sizes;
  const mapped = own(new MappedTensors(checkpoint), (m) => m.free());
  const parameters = own(new Parameters(accelerator, mapped, blueprint.parameters), (p) => p.free());
  own(new Constants(accelerator, declarations.constants), (c) => c.free());
  readVectors(blueprint.hostVectors, cpu);
  const rows = cacheRows(context);
  own(new KvCache(accelerator, declarations.caches, rows, blueprint.cacheType), (c) => c.free());
  const { extendedBeyond } = declarations;
  const windows = [...declarations.windows];
  const { embedding } = blueprint;
  const network = own(
    new Network({ cpu, accelerator, spec, embedding, mapped, chunk, context, windows, extendedBeyond, hostType }),
    (n) => n.free(),
  );
  const host = own(new HostExperts(checkpoint, cpu, expertLayers, blueprint.upcast, hostType), (h) => h.free());
  const slots = sizes.streams
    ? own(new StreamSlots(accelerator, expertLayers[0]!, blueprint.expertType, sizes.slots), (s) => s.free())
    : undefined;
  const pool = nativePool(machine, expertLayers, blueprint.expertType, given.cpuKernels);
  const { hidden, expertInput } = network;
  const experts = own(
    new Experts({
      cpu,
      accelerator,
      layers: expertLayers,
      chunk,
      hidden,
      input: expertInput.input,
      hostInput: expertInput.hostInput,
      host,
      slots,
      cached: sizes.cached,
      prefetch,
      pool,
      policy,
      hostType,
    }),
    (e) => e.free(),
  );
  network.reserve();
  experts.reserve();
  return { ...given, parameters, network, host, experts };
}

/** Threads with the native kernels, where those compute these experts. @throws FiddlerError `unsupported` where asked for in vain */
function nativePool(
  machine: Machine,
  layers: readonly ExpertsSpec[],
  type: Type,
  asked: LoadOptions['cpuKernels'] = 'auto',
) {
  const kernels = asked === 'ggml' ? null : loadExpertKernels();
  const computes = kernels && layers.length > 0 && layers.every((spec) => nativeComputes(spec, type));
  // Beside ggml's pool, which computes the rest where there is no GPU, a second one would fight for the cores.
  if (computes && (machine.kind.gpu || asked === 'native')) {
    return { name: kernels.name, pool: kernels.pool(machine.threads), spin: machine.kind.gpu };
  }
  if (asked !== 'native') return undefined;
  const problem = kernels
    ? 'the native CPU kernels do not compute this model'
    : 'the native CPU kernels were not built';
  throw new FiddlerError(
    'unsupported',
    problem,
    'use --cpu-kernels ggml, or build them with a C++ compiler (npm run build)',
  );
}

/** Chooses which experts are resident and makes room for them. */
function placeExperts({ blueprint, machine, sizes, experts, own }: Parts, options: LoadOptions): Placement {
  const { accelerator, cpu } = machine;
  const { expertLayers, expertType } = blueprint;
  const { total, bytes } = expertTotals(blueprint);
  const offloads = accelerator !== cpu;
  if (offloads) checkBudget(accelerator.bytes, sizes.budget, accelerator.name);
  const share = options.expertsResident;
  const { onWarning } = options;
  const fitting = residentCount(sizes.budget, accelerator.bytes, bytes, total);
  const asked = share === undefined ? fitting : Math.round(share * total);
  if (offloads && asked > fitting) {
    onWarning?.(
      `${fitting} experts are resident in place of the ${asked} asked for: more do not fit into --gpu-memory`,
    );
  }
  const count = offloads ? Math.min(asked, fitting) : 0;
  const room = () => Math.floor(machine.freeMemory() / bytes);
  const placed = placeResident({ accelerator, layers: expertLayers, type: expertType, count, room, onWarning });
  experts.resident = own(placed.resident, (r) => r.free());
  return placed.placement;
}

/** Copies weights to where they are computed, in the type in which they are computed. */
function fill(
  { checkpoint, blueprint, machine, parameters, host, experts }: Parts,
  placement: Placement,
  onProgress?: LoadOptions['onProgress'],
): void {
  const { total, bytes } = expertTotals(blueprint);
  const resident = placement.reduce((sum, of) => sum + of.length, 0);
  const copies = blueprint.expertLayers.map((_, layer) => host.mustCopy(layer));
  const copied = parameters.storedBytes + (copies.includes(true) ? total : resident) * bytes;
  let done = 0;
  const onBytes = (count: number) => {
    done += count;
    onProgress?.(done, copied);
  };
  parameters.fill(checkpoint, machine.cpu, blueprint.embedding.name, onBytes);
  experts.resident.fill(checkpoint, new Uploader(machine.cpu), () => onBytes(bytes));
  blueprint.expertLayers.forEach((spec, layer) => {
    for (let e = 0; e < spec.count; e++) {
      if (!copies[layer] || experts.resident.has(layer, e)) continue;
      host.copy(layer, e);
      onBytes(bytes);
    }
  });
}

/** Pins the experts that are not resident: in place, or where the driver refuses that, in copies. */
function pinMissing({ blueprint, machine, host }: Parts, placement: Placement): void {
  const missing = blueprint.expertLayers.map(({ count }, layer) =>
    [...Array(count).keys()].filter((e) => !placement[layer]!.includes(e)),
  );
  if (pinExperts(machine.accelerator, host, missing)) return;
  missing.forEach((experts, layer) => {
    for (const e of experts) if (host.isInPlace(layer, e)) host.copy(layer, e);
  });
}

/** Bytes of weights that the CPU serves, in the type in which they are computed. */
function servedBytes({ blueprint, machine, parameters }: Parts, placement: Placement): number {
  const { total, bytes } = expertTotals(blueprint);
  const resident = placement.reduce((sum, of) => sum + of.length, 0);
  const others = machine.accelerator === machine.cpu ? parameters.bytes : 0;
  return (total - resident) * bytes + others + blueprint.embedding.bytes;
}
