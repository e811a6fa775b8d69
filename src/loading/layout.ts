import { cpusForThreads, nodesOfCpus } from '../devices/cores.js';
import { MappedTensors } from '../devices/mapped.js';
import { FiddlerError } from '../errors.js';
import { Experts } from '../experts/experts.js';
import { HostExperts } from '../experts/host-experts.js';
import { nativeComputes } from '../experts/lanes/native.js';
import { StreamSlots } from '../experts/lanes/slots.js';
import { plainLoops } from '../experts/order-loops.js';
import { mostThatFit, type Placement, placement } from '../experts/placement.js';
import { POLICIES, policyNamed } from '../experts/policies/index.js';
import type { Policy } from '../experts/policy.js';
import type { Profile } from '../experts/profile.js';
import type { Pointer } from '../native/ggml/api.js';
import { type ExpertKernels, loadExpertKernels } from '../native/kernels.js';
import { hold, Resources } from '../native/resources.js';
import { Choices } from '../network/choices.js';
import { Network } from '../network/network.js';
import type { LoadOptions } from '../options.js';
import type { Checkpoint } from '../weights/checkpoint.js';
import { RenamedCheckpoint } from '../weights/renamed.js';
import { type Blueprint, cacheType, describe, drawBlueprint, expertTotals, residentBytes } from './blueprint.js';
import { compactBlueprint, compactLine } from './compact.js';
import { checkBudget, groupBytes } from './fitting.js';
import { withKept } from './kept.js';
import { leftOut } from './left-out.js';
import { Machine, type StandIn } from './machine.js';
import { KvCache, Parameters, StateMemory } from './parameters.js';
import { storedProfile } from './popularity.js';
import { quantizationOf, quantizeBlueprint, undivided } from './quantization.js';
import { placeResident } from './residency.js';
import { checkAccelerator, planSizes, type Sizes } from './sizes.js';
import type { ModelSource } from './source.js';
import { fitTypes } from './types.js';
import { placeConstants, readVectors } from './vectors.js';

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
  kvCache: KvCache;
  states: StateMemory;
  /** Everything that was made for it; what is made for it later belongs there too. */
  resources: Resources;
  /** Frees everything. */
  close: () => void;
}

export interface LayoutOptions {
  /** Takes no memory but counts it on the devices (`Device.bytes`), also what does not fit. */
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
export function openWeights(source: ModelSource, options: Pick<LoadOptions, 'dtype' | 'quantize' | 'keep'>): OpenModel {
  const quantization = quantizationOf(options);
  const description = describe(source);
  const { spec, declarations, renamings } = description;
  const opened = source.open(spec, declarations);
  const checkpoint = renamings ? new RenamedCheckpoint(opened, renamings) : opened;
  try {
    const stored = drawBlueprint(description, checkpoint, options.dtype ?? 'auto');
    if (!quantization) return { checkpoint, blueprint: compactBlueprint(stored, checkpoint) };
    const opened = { checkpoint, blueprint: quantizeBlueprint(stored, quantization) };
    return options.keep ? withKept(source, opened) : opened;
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

/**
 * Decides what of a model lies where, and takes the memory for it.
 * @throws FiddlerError
 */
export function layOut(source: ModelSource, options: LoadOptions, how: LayoutOptions = {}): Layout {
  const resources = new Resources();
  try {
    const parts = resources.during(() => layOutParts(source, options, how));
    return { ...parts, resources, close: () => resources.free() };
  } catch (error) {
    throw FiddlerError.after(error, () => resources.free());
  }
}

/** What is refused in loading, and only counted in planning. @throws FiddlerError `memory` */
export function checkLayout({ machine, sizes }: Pick<Layout, 'machine' | 'sizes'>): void {
  const { accelerator, cpu } = machine;
  if (accelerator === cpu) return;
  checkAccelerator(sizes, accelerator.name);
  checkBudget(accelerator.bytes, sizes.budget, accelerator.name, sizes.sequences);
}

function layOutParts(
  source: ModelSource,
  options: LoadOptions,
  { countsOnly, standIn, compared = [], opened }: LayoutOptions,
): Omit<Layout, 'resources' | 'close'> {
  const { checkpoint, blueprint: drawn } = opened ?? openWeights(source, options);
  if (!opened) for (const note of notesOf(source, { checkpoint, blueprint: drawn }, options)) options.onWarning?.(note);
  const profile = storedProfile(source, drawn.expertLayers, options);
  const policy = policyNamed(options.policy ?? POLICIES[0]!.name);
  const machine = new Machine(options.accelerator ?? 'auto', { ...options, countsOnly, standIn });
  const blueprint = fitTypes(drawn, machine.accelerator, opened ? undefined : options.onWarning);
  const sizes = planSizes(source, blueprint, machine, [policy, ...compared], options);
  const parts = build({ checkpoint, blueprint, profile, machine, policy, sizes }, options);
  const placement = placeExperts(parts, options);
  hold(() => parts.experts.end()); // the newest is freed first: nothing computes with the rest any more
  return { ...parts, placement };
}

/** What of the files is left out, and what of them is held otherwise than stored or asked for. */
function notesOf(source: ModelSource, { checkpoint, blueprint }: OpenModel, options: LoadOptions): readonly string[] {
  const notes = source.notes ?? leftOut(checkpoint, blueprint);
  const quantization = quantizationOf(options);
  const line = quantization ? undivided(blueprint, quantization) : compactLine(blueprint, checkpoint);
  return line === undefined ? notes : [...notes, line];
}

/** Allocates everything but the experts. */
function build(
  given: Pick<Layout, 'checkpoint' | 'blueprint' | 'profile' | 'machine' | 'policy' | 'sizes'>,
  { cpuKernels, prefetch }: LoadOptions,
): Omit<Layout, 'placement' | 'resources' | 'close'> {
  const { checkpoint, blueprint, machine, policy, sizes } = given;
  const { cpu, accelerator, hostMemory } = machine;
  const { cacheStep } = machine.kind;
  const { spec, declarations, expertLayers, expertTypes } = blueprint;
  const { chunk, calls, context, sequences, rows } = sizes;
  const mapped = new MappedTensors(checkpoint);
  const parameters = new Parameters(accelerator, mapped, blueprint.parameters, declarations.joined);
  placeConstants(accelerator, declarations.constants);
  readVectors(blueprint.hostVectors, cpu);
  const kvCache = new KvCache(accelerator, declarations.caches, rows, sequences, cacheType(blueprint, machine));
  const states = new StateMemory(accelerator, declarations.states, sequences);
  const { embedding, tables } = blueprint;
  const kernels = cpuKernels === 'ggml' ? null : loadExpertKernels();
  const pool = nativePool(kernels, machine, blueprint, cpuKernels);
  const choices = new Choices(pool?.pool ?? kernels);
  const sized = { chunk, calls, context, sequences, rows, hostMemory, cacheStep, choices };
  const network = new Network({ cpu, accelerator, spec, declarations, embedding, tables, mapped, ...sized });
  const host = new HostExperts(checkpoint, cpu, expertLayers, expertTypes, hostMemory.type, pool?.place);
  const room = { count: sizes.slots, strided: machine.kind.byNumber.strided };
  const slots = sizes.streams ? new StreamSlots(accelerator, expertLayers, expertTypes, room) : undefined;
  const { input, hostInput, awaitInput } = network.expertInput;
  const experts = new Experts({
    cpu,
    accelerator,
    layers: expertLayers,
    chunk: calls,
    output: network.expertSum,
    input,
    hostInput,
    awaitInput,
    host,
    slots,
    cached: sizes.cached,
    prefetch,
    pool,
    orderLoops: kernels?.orderLoops ?? plainLoops,
    policy,
    hostMemory,
    graphBytes: groupBytes(sizes.budget - sizes.needed - sizes.cache),
    byNumber: machine.kind.byNumber,
  });
  network.reserve();
  experts.reserve();
  return { ...given, parameters, kvCache, states, network, host, experts };
}

/** Threads with the native kernels, where those compute these experts. @throws FiddlerError `unsupported` where asked for in vain */
function nativePool(
  kernels: ExpertKernels | null,
  machine: Machine,
  { expertLayers: layers, expertTypes: types }: Blueprint,
  asked: LoadOptions['cpuKernels'] = 'auto',
) {
  const computes = kernels && layers.length > 0 && layers.every((spec, l) => nativeComputes(spec, types[l]!));
  // Beside ggml's pool, which computes the rest where there is no GPU, a second one would fight for the cores.
  if (computes && (machine.kind.gpu || asked === 'native')) {
    const { countsOnly, kind } = machine;
    const threads = countsOnly ? 1 : machine.threads;
    const cpus = cpusForThreads(threads);
    const nodes = nodesOfCpus(cpus);
    const pool = kernels.pool(threads, cpus, nodes);
    const place = nodes && ((at: Pointer, bytes: number) => kernels.place(at, bytes, Math.max(...nodes) + 1));
    return { name: kernels.name, pool, place, spin: kind.gpu && !countsOnly };
  }
  if (asked !== 'native') return undefined;
  const problem = kernels
    ? 'the native CPU kernels do not compute this model'
    : 'the native CPU kernels were not built';
  throw new FiddlerError(
    'unsupported',
    problem,
    'use --cpu-kernels ggml, or build them with a C++ compiler (node native/build.mjs in the folder of fiddler-moe)',
  );
}

/** Chooses which experts are resident and makes room for them. */
function placeExperts(
  { blueprint, profile, machine, sizes, experts }: Omit<Layout, 'placement' | 'resources' | 'close'>,
  options: LoadOptions,
): Placement {
  const { accelerator, cpu } = machine;
  const { expertLayers: layers, expertTypes: types } = blueprint;
  const { total, bytes } = expertTotals(blueprint);
  const counts = profile?.counts;
  const place = (count: number) => placement(count, layers, counts);
  const offloads = accelerator !== cpu && !blueprint.expertsOnCpu;
  if (!machine.countsOnly) checkLayout({ machine, sizes });
  const share = options.expertsResident;
  const { onWarning } = options;
  const left = sizes.budget - accelerator.bytes;
  const fitting = mostThatFit(left, total, (count) => residentBytes(blueprint, place(count)));
  const asked = share === undefined ? fitting : Math.round(share * total);
  if (offloads && asked > fitting) {
    onWarning?.(
      `${fitting} experts are resident in place of the ${asked} asked for: more do not fit into --gpu-memory`,
    );
  }
  const count = offloads ? Math.min(asked, fitting) : 0;
  const room = () => Math.floor(machine.freeMemory() / bytes);
  const { strided } = machine.kind.byNumber;
  const placed = placeResident({ accelerator, layers, types, strided, count, place, room, onWarning });
  experts.place(placed.resident);
  return placed.placement;
}
