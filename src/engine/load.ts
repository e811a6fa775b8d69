import { availableRam } from '../devices/cores.js';
import { processMemory } from '../devices/process-memory.js';
import { Uploader } from '../devices/upload.js';
import { FiddlerError } from '../errors.js';
import { costsOf } from '../experts/costs.js';
import { pinExperts } from '../experts/pinning.js';
import type { Policy } from '../experts/policy.js';
import { Rebalancer } from '../experts/rebalance.js';
import { TraceWriter } from '../experts/trace.js';
import { layerBytes } from '../loading/blueprint.js';
import { checkRam } from '../loading/fitting.js';
import { modelRam, recallProcess, servedBytes, sumOf, totalRam } from '../loading/footprint.js';
import { keepQuantized } from '../loading/keeping.js';
import { type Layout, layOut } from '../loading/layout.js';
import { learnPopularity, profiledModel } from '../loading/popularity.js';
import { folderSource, type ModelSource } from '../loading/source.js';
import { readTables } from '../loading/tables.js';
import { populate } from '../native/os/memory.js';
import { calibrationKey, forgetRates, ratesOf, recallRates } from '../pace/calibration.js';
import type { Loading } from './engine.js';
import { Workbench } from './workbench.js';

/** Loads the model in the folder `dir`; blocks. @throws FiddlerError */
export function loadEngine(dir: string, options: Loading): Workbench {
  try {
    return loadSource(folderSource(dir), options);
  } catch (error) {
    throw FiddlerError.of(error);
  }
}

/**
 * Loads a model and divides it between the devices; blocks.
 * @param compared policies that the session will use too: there is room for what they need, and costs are measured for them
 * @throws FiddlerError
 */
export function loadSource(source: ModelSource, options: Loading, compared: readonly Policy[] = []): Workbench {
  const begin = performance.now();
  const { available } = availableRam();
  const { anonymous } = processMemory();
  if (options.keep) {
    keepQuantized(source, options, (done, total) => {
      options.throwIfEnded?.();
      options.onProgress?.(done, total);
    });
  }
  const layout = layOut(source, options, { compared });
  try {
    options.throwIfEnded?.();
    const usable = available + anonymous; // what the process takes already is a part of what is needed
    const ram = ramOf(source, layout, options, usable);
    if (!source.inMemory) checkRam(ram.needed, usable, layout.sizes.sequences);
    const prepared = { ...options, rebalance: ram.follows };
    const parts = layout.resources.during(() => prepare(layout, source, prepared, compared, options.rebalance));
    const seconds = (performance.now() - begin) / 1000;
    return new Workbench({ ...layout, ...parts, seconds, ram: ram.reported });
  } catch (error) {
    throw FiddlerError.after(error, () => layout.close());
  }
}

/** Fills a layout, and measures what its pieces take where that is asked for. @param asked that experts follow use */
function prepare(layout: Layout, source: ModelSource, options: Loading, compared: readonly Policy[], asked?: boolean) {
  const { experts, policy, profile } = layout;
  const { expertLayers } = layout.blueprint;
  const { throwIfEnded } = options;
  fillLayout(layout, options);
  const costed = options.rebalance || [policy, ...compared].some(({ byCost }) => byCost);
  const key = calibrationKey(layout);
  const rates = costed ? ratesOf(layout, key, throwIfEnded) : recallRates(key);
  if (rates) experts.costs.set(costsOf(rates.experts), true);
  throwIfEnded?.();
  const rebalancer = options.rebalance ? Rebalancer.create(experts, expertLayers, profile) : undefined;
  experts.follower = rebalancer;
  if (asked && !rebalancer) {
    options.onWarning?.(
      'no layer has both resident and missing experts beside another, so that there is nothing to rebalance',
    );
  }
  const learn = () => learnPopularity(source, expertLayers, experts.statistics.popularity);
  const profiled = profiledModel(source, expertLayers);
  return {
    profiled,
    rebalancer,
    rates,
    disproved: () => forgetRates(key),
    learn: options.learn ? learn : undefined,
    trace: options.trace === undefined ? undefined : new TraceWriter(options.trace, profiled.model, expertLayers),
  };
}

/** What of RAM is needed, and what a session reports of it. */
function ramOf(source: ModelSource, layout: Layout, options: Loading, available: number) {
  const processBytes = recallProcess(layout.machine, options);
  const { parts, follows } = totalRam(source, layout, { processBytes, rebalance: options.rebalance, available });
  const needed = sumOf(parts);
  const planned = processBytes === undefined ? undefined : needed;
  return { needed, follows, reported: { ram: servedBytes(layout), taken: sumOf(modelRam(layout)), planned } };
}

/**
 * Puts a model's weights into their places, so that it can compute. Where it may rebalance, experts may come from the
 * accelerator later.
 * @returns what was copied, and how long that took
 */
export function fillLayout(
  layout: Layout,
  { onProgress, rebalance = false, throwIfEnded }: Pick<Loading, 'onProgress' | 'rebalance' | 'throwIfEnded'> = {},
): { bytes: number; seconds: number } {
  const { machine, experts, sizes } = layout;
  const begin = performance.now();
  const bytes = fill(layout, onProgress);
  const seconds = (performance.now() - begin) / 1000;
  if (sizes.streams && machine.kind.gpu) pinMissing(layout, rebalance, throwIfEnded);
  if (experts.native) machine.yieldCores();
  return { bytes, seconds };
}

/** Copies weights to where they are computed, in the type in which they are computed. */
function fill(
  { checkpoint, blueprint, machine, parameters, host, experts, placement }: Layout,
  onProgress?: Loading['onProgress'],
): number {
  const { expertLayers } = blueprint;
  const each = layerBytes(blueprint);
  const copies = expertLayers.map((_, layer) => host.mustCopy(layer));
  const copiedOf = (layer: number) => (copies[layer] ? expertLayers[layer]!.count : placement[layer]!.length);
  const copied = each.reduce((sum, bytes, layer) => sum + copiedOf(layer) * bytes, parameters.storedBytes);
  let done = 0;
  const onBytes = (count: number) => {
    done += count;
    onProgress?.(done, copied);
  };
  readTables(checkpoint, blueprint.declarations, blueprint.tables);
  parameters.fill(checkpoint, machine.cpu, blueprint.embedding.address, onBytes);
  populate(blueprint.embedding.address, blueprint.embedding.bytes);
  experts.resident.fill(checkpoint, new Uploader(machine.cpu), (layer) => onBytes(each[layer]!));
  for (const layer of expertLayers.keys()) {
    for (const e of copies[layer] ? experts.resident.missing(layer) : []) {
      host.copy(layer, e);
      onBytes(each[layer]!);
    }
  }
  return done;
}

/**
 * Pins the experts that are not resident: in place where the driver does it, else in copies.
 * @param keepsAll in place the others too, since they may leave the accelerator
 */
function pinMissing(
  { blueprint, machine, host, experts: { resident } }: Layout,
  keepsAll: boolean,
  throwIfEnded?: () => void,
): void {
  const missing = blueprint.expertLayers.map((_, layer) => resident.missing(layer));
  const pinned = missing.map((experts, layer) => (keepsAll ? [...experts, ...resident.of(layer)] : experts));
  const pieces = pinExperts(machine.accelerator, host, pinned);
  if (pieces) {
    host.keepsAll = keepsAll;
    host.pinned(pieces);
    return;
  }
  missing.forEach((experts, layer) => {
    for (const e of experts) {
      throwIfEnded?.();
      if (host.isInPlace(layer, e)) host.copy(layer, e);
    }
  });
}
