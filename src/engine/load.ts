import { availableRam } from '../devices/cores.js';
import { processMemory } from '../devices/process-memory.js';
import { Uploader } from '../devices/upload.js';
import { costsOf } from '../experts/costs.js';
import { pinExperts } from '../experts/pinning.js';
import { residentTotal } from '../experts/placement.js';
import type { Policy } from '../experts/policy.js';
import { Rebalancer } from '../experts/rebalance.js';
import { populate } from '../ggml/memory.js';
import { expertTotals } from './blueprint.js';
import { calibrationKey, forgetRates, ratesOf, recallRates } from './calibration.js';
import { checkRam } from './fitting.js';
import { modelRam, type ProcessUse, recallProcess, servedBytes, sumOf, totalRam } from './footprint.js';
import { type Layout, layOut } from './layout.js';
import type { LoadOptions } from './options.js';
import { learnPopularity, profiledModel } from './popularity.js';
import { folderSource, type ModelSource } from './source.js';
import { Workbench } from './workbench.js';

/** Loads the model in the folder `dir`; blocks. @throws FiddlerError */
export function loadEngine(dir: string, options: LoadOptions): Workbench {
  return loadSource(folderSource(dir), options);
}

/**
 * Loads a model and divides it between the devices; blocks.
 * @param compared policies that the session will use too: there is room for what they need, and costs are measured for them
 * @throws FiddlerError
 */
export function loadSource(source: ModelSource, options: LoadOptions, compared: readonly Policy[] = []): Workbench {
  const begin = performance.now();
  const { available } = availableRam();
  const { anonymous } = processMemory();
  const layout = layOut(source, options, { compared });
  try {
    const ram = ramOf(source, layout, options);
    // What the process takes already is a part of what is needed.
    if (!source.inMemory) checkRam(ram.needed, available + anonymous);
    const { experts, policy, profile } = layout;
    const { expertLayers } = layout.blueprint;
    fillLayout(layout, options.onProgress, options.rebalance);
    const costed = options.rebalance || [policy, ...compared].some(({ byCost }) => byCost);
    const key = calibrationKey(layout);
    const rates = costed ? ratesOf(layout, key) : recallRates(key);
    if (rates) experts.costs.set(costsOf(rates.experts), true);
    const rebalancer = options.rebalance ? Rebalancer.create(experts, expertLayers, profile) : undefined;
    if (options.rebalance && !rebalancer) {
      options.onWarning?.('no layer has both resident and missing experts, so that there is nothing to rebalance');
    }
    const seconds = (performance.now() - begin) / 1000;
    const profiled = profiledModel(source, expertLayers);
    const close = () => {
      if (options.learn) learnPopularity(source, expertLayers, experts.statistics.popularity);
      layout.close();
    };
    const disproved = () => forgetRates(key);
    return new Workbench({ ...layout, profiled, rebalancer, rates, disproved, seconds, ram: ram.reported, close });
  } catch (error) {
    layout.close();
    throw error;
  }
}

/** What of RAM is needed, and what a session reports of it. */
function ramOf(source: ModelSource, layout: Layout, use: ProcessUse) {
  const known = recallProcess(layout.machine, use);
  const needed = sumOf(totalRam(source, layout, known));
  const planned = known === undefined ? undefined : needed;
  return { needed, reported: { ram: servedBytes(layout), taken: sumOf(modelRam(layout)), planned } };
}

/**
 * Puts a model's weights into their places, so that it can compute.
 * @param rebalance experts may come from the accelerator later
 * @returns what was copied, and how long that took
 */
export function fillLayout(
  layout: Layout,
  onProgress?: LoadOptions['onProgress'],
  rebalance = false,
): { bytes: number; seconds: number } {
  const { machine, experts, sizes } = layout;
  const begin = performance.now();
  const bytes = fill(layout, onProgress);
  const seconds = (performance.now() - begin) / 1000;
  if (sizes.streams && machine.kind.gpu) pinMissing(layout, !rebalance);
  if (experts.native) machine.yieldCores();
  return { bytes, seconds };
}

/** Copies weights to where they are computed, in the type in which they are computed. */
function fill(
  { checkpoint, blueprint, machine, parameters, host, experts, placement }: Layout,
  onProgress?: LoadOptions['onProgress'],
): number {
  const { total, bytes } = expertTotals(blueprint);
  const resident = residentTotal(placement);
  const copies = blueprint.expertLayers.map((_, layer) => host.mustCopy(layer));
  const copied = parameters.storedBytes + (copies.includes(true) ? total : resident) * bytes;
  let done = 0;
  const onBytes = (count: number) => {
    done += count;
    onProgress?.(done, copied);
  };
  parameters.fill(checkpoint, machine.cpu, blueprint.embedding.name, onBytes);
  populate(blueprint.embedding.address, blueprint.embedding.bytes);
  experts.resident.fill(checkpoint, new Uploader(machine.cpu), () => onBytes(bytes));
  for (const layer of blueprint.expertLayers.keys()) {
    for (const e of copies[layer] ? experts.resident.missing(layer) : []) {
      host.copy(layer, e);
      onBytes(bytes);
    }
  }
  return done;
}

/** Pins the experts that are not resident: in place where that is wanted and the driver does it, else in copies. */
function pinMissing({ blueprint, machine, host, experts: { resident } }: Layout, inPlace: boolean): void {
  const missing = blueprint.expertLayers.map((_, layer) => resident.missing(layer));
  if (inPlace && pinExperts(machine.accelerator, host, missing)) return;
  missing.forEach((experts, layer) => {
    for (const e of experts) if (host.isInPlace(layer, e)) host.copy(layer, e);
  });
}
