import { cpusForThreads } from '../devices/cores.js';
import { MappedTensors } from '../devices/mapped.js';
import { FiddlerError } from '../errors.js';
import { Experts } from '../experts/experts.js';
import { HostExperts } from '../experts/host-experts.js';
import { nativeComputes } from '../experts/lanes/native.js';
import { StreamSlots } from '../experts/lanes/slots.js';
import { type Placement, residentCount } from '../experts/placement.js';
import { POLICIES, policyNamed } from '../experts/policies/index.js';
import type { Policy } from '../experts/policy.js';
import type { Profile } from '../experts/profile.js';
import type { ExpertsSpec } from '../experts/spec.js';
import { loadExpertKernels } from '../ggml/experts.js';
import type { Type } from '../ggml/tensor.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { type Blueprint, describe, drawBlueprint, expertTotals } from './blueprint.js';
import { checkBudget } from './fitting.js';
import { cacheRows } from './inputs.js';
import { Machine, type StandIn } from './machine.js';
import { Network } from './network.js';
import type { LoadOptions } from './options.js';
import { KvCache, Parameters } from './parameters.js';
import { storedProfile } from './popularity.js';
import { placeResident } from './residency.js';
import { planSizes, type Sizes } from './sizes.js';
import type { ModelSource } from './source.js';
import { Constants, readVectors } from './vectors.js';

/** A model with a place on its devices for everything it takes; nothing is in these places yet. */
export interface Layout {
  checkpoint: Checkpoint;
  blueprint: Blueprint;
  machine: Machine;
  policy: Policy;
  sizes: Sizes;
  parameters: Parameters;
  network: Network;
  host: HostExperts;
  experts: Experts;
  /** By which experts were placed, where there is one. */
  profile?: Profile;
  placement: Placement;
  /** Frees everything. */
  close: () => void;
}

export interface LayoutOptions {
  /** Takes no memory but counts it on the devices (`Device.bytes`). */
  countsOnly?: boolean;
  /** Another machine than this one, which is then only counted. */
  standIn?: StandIn;
  /** Policies for whose needs there is to be room beside that of the one in the options. */
  compared?: readonly Policy[];
  /** The source's weights, where several layouts share them; they stay open. */
  opened?: OpenModel;
}

/** Weights, checked against their model's description. */
export interface OpenModel {
  checkpoint: Checkpoint;
  blueprint: Blueprint;
}

/** Opens a model's weights; whoever does so closes the checkpoint. @throws FiddlerError */
export function openWeights(source: ModelSource, { dtype = 'auto' }: Pick<LoadOptions, 'dtype'>): OpenModel {
  const description = describe(source);
  const checkpoint = source.open(description.spec, description.declarations);
  try {
    return { checkpoint, blueprint: drawBlueprint(description, checkpoint, dtype) };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

/** Keeps a thing to be freed with the layout. */
type Own = <T>(thing: T, free: (thing: T) => void) => T;

/**
 * Decides what of a model lies where, and takes the memory for it.
 * @throws FiddlerError
 */
export function layOut(
  source: ModelSource,
  options: LoadOptions,
  { countsOnly, standIn, compared = [], opened }: LayoutOptions = {},
): Layout {
  const undo: (() => void)[] = [];
  const own: Own = (thing, free) => {
    undo.push(() => free(thing));
    return thing;
  };
  const close = () => {
    while (undo.length > 0) undo.pop()!();
  };
  try {
    const { checkpoint, blueprint } = opened ?? own(openWeights(source, options), (model) => model.checkpoint.close());
    const profile = storedProfile(source, blueprint.expertLayers, options);
    const policy = policyNamed(options.policy ?? POLICIES[0]!.name);
    const machine = own(new Machine(options.accelerator ?? 'auto', { ...options, countsOnly, standIn }), (m) =>
      m.free(),
    );
    const sizes = planSizes(source, blueprint, machine, [policy, ...compared], options);
    const parts = build({ checkpoint, blueprint, profile, machine, policy, sizes }, options, own);
    return { ...parts, placement: placeExperts(parts, options, own), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** Allocates everything but the experts. */
function build(
  given: Pick<Layout, 'checkpoint' | 'blueprint' | 'profile' | 'machine' | 'policy' | 'sizes'>,
  { cpuKernels, prefetch }: LoadOptions,
  own: Own,
): Omit<Layout, 'placement' | 'close'> {
  const { checkpoint, blueprint, machine, policy, sizes } = given;
  const { cpu, accelerator, hostMemory } = machine;
  const { cacheStep } = machine.kind;
  const { spec, declarations, expertLayers } = blueprint;
  const { chunk, context } = sizes;
  const mapped = own(new MappedTensors(checkpoint), (m) => m.free());
  const parameters = own(new Parameters(accelerator, mapped, blueprint.parameters), (p) => p.free());
  own(new Constants(accelerator, declarations.constants), (c) => c.free());
  readVectors(blueprint.hostVectors, cpu);
  const rows = cacheRows(context);
  own(new KvCache(accelerator, declarations.caches, rows, blueprint.cacheType), (c) => c.free());
  const { embedding } = blueprint;
  const network = own(
    new Network({ cpu, accelerator, spec, declarations, embedding, mapped, chunk, context, hostMemory, cacheStep }),
    (n) => n.free(),
  );
  const host = own(new HostExperts(checkpoint, cpu, expertLayers, blueprint.upcast, hostMemory.type), (h) => h.free());
  const slots = sizes.streams
    ? own(new StreamSlots(accelerator, expertLayers[0]!, blueprint.expertType, sizes.slots), (s) => s.free())
    : undefined;
  const pool = nativePool(machine, expertLayers, blueprint.expertType, cpuKernels);
  const { hidden } = network;
  const { input, hostInput } = network.expertInput;
  const experts = own(
    new Experts({
      cpu,
      accelerator,
      layers: expertLayers,
      chunk,
      hidden,
      input,
      hostInput,
      host,
      slots,
      cached: sizes.cached,
      prefetch,
      pool,
      policy,
      hostMemory,
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
    const { countsOnly, kind } = machine;
    const threads = countsOnly ? 1 : machine.threads;
    const pool = kernels.pool(threads, cpusForThreads(threads));
    return { name: kernels.name, pool, spin: kind.gpu && !countsOnly };
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
function placeExperts(
  { blueprint, profile, machine, sizes, experts }: Omit<Layout, 'placement' | 'close'>,
  options: LoadOptions,
  own: Own,
): Placement {
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
  const counts = profile?.counts;
  const placed = placeResident({ accelerator, layers: expertLayers, type: expertType, count, counts, room, onWarning });
  experts.place(own(placed.resident, (r) => r.free()));
  return placed.placement;
}
