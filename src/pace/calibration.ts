import { z } from 'zod';
import { CacheEntries, cacheFolder } from '../devices/cache.js';
import { residentTotal } from '../experts/placement.js';
import { QUICK } from '../experts/repeat.js';
import { expertTotals } from '../loading/blueprint.js';
import type { Layout } from '../loading/layout.js';
import { layersOf } from '../models/model.js';
import { typeName } from '../native/ggml/tensor.js';
import { measureRates } from './measure.js';
import { type Rates, ratesSchema } from './rates.js';

/** Raised when rates are measured otherwise than before, so that old ones are not taken. */
const REVISION = 7;
/** Drivers and kernels change: what is older, in milliseconds, is measured again. */
const LIFETIME = 30 * 24 * 3600 * 1000;

/** Repeated measurements that differ by more than this part of them show what else the machine did. */
const UNSTEADY = 0.5;

const entries = new CacheEntries('rates', z.object({ rates: ratesSchema }));

/** What rates depend on: the machine as it is used, and the model's shapes. */
export function calibrationKey({
  machine,
  blueprint,
  experts,
}: Pick<Layout, 'machine' | 'blueprint' | 'experts'>): string {
  const { cpu, cores, accelerator } = machine.hardware;
  const { spec, expertLayers, expertTypes, upcast, declarations } = blueprint;
  const used = [machine.kind.name, machine.threads, experts.kernels];
  const { chosen, hidden, width, activation } = expertLayers[0]!;
  const types = new Set(expertTypes.map((of) => Object.values(of).map(typeName).join('/')));
  const expert = [[...types].join(' '), upcast ?? 'stored', chosen, hidden, width, activation];
  const shapes = new Set(declarations.parameters.map((p) => `${p.shape}`));
  const model = [spec.vocabulary, layersOf(spec).length, [...shapes].join(' ')];
  const gpu = accelerator ? [accelerator.name, accelerator.memory] : [];
  return [REVISION, cpu, cores, ...gpu, ...used, ...expert, ...model].join('\n');
}

/** The stored rates; undefined where there are none, or none that can be trusted. */
export function recallRates(key: string, folder = cacheFolder(), now = Date.now()): Rates | undefined {
  const entry = entries.read(key, folder);
  const age = entry ? now - entry.time : Number.NaN;
  return age >= 0 && age < LIFETIME ? entry!.value.rates : undefined;
}

/** Whether others had the cores while rates were measured, or what is alike took so differently that they must have had. */
export function spoilt({ crowded, experts }: Rates): boolean {
  return crowded !== undefined || experts.spread > UNSTEADY;
}

/** Measures once more, a while later, where others spoilt the rates; gives those that they spoilt least. */
export function inPeace(measure: () => Rates, pause: () => void): Rates {
  const rates = measure();
  if (!spoilt(rates)) return rates;
  pause();
  const again = measure();
  return !spoilt(again) || again.experts.spread < rates.experts.spread ? again : rates;
}

/** Stores rates. @returns false where others spoilt them, so that they are of no use later */
export function rememberRates(key: string, rates: Rates, folder = cacheFolder(), now = Date.now()): boolean {
  if (spoilt(rates)) return false;
  entries.write(key, { rates }, folder, now);
  return true;
}

/** Forgets rates that turned out wrong, so that they are measured again. */
export function forgetRates(key: string, folder = cacheFolder()): void {
  entries.remove(key, folder);
}

/** The file in which rates are stored. */
export function entryFile(key: string, folder = cacheFolder()): string {
  return entries.file(key, folder);
}

/**
 * The rates of a loaded model on this machine: stored ones, or measured now and stored.
 * @param key its calibration key
 * @param throwIfEnded asked between measurements
 */
export function ratesOf(layout: Layout, key: string, throwIfEnded?: () => void): Rates {
  const stored = recallRates(key);
  if (stored && covers(stored, layout)) return stored;
  const measured = measureRates(layout, QUICK, throwIfEnded);
  const rates = stored
    ? {
        ...measured,
        fill: stored.fill,
        first: stored.first,
        heads: stored.heads,
        experts: completed(measured.experts, stored.experts),
      }
    : measured;
  rememberRates(key, rates);
  return rates;
}

/** Whether rates have every lane that this layout uses. */
function covers({ experts }: Rates, { blueprint, placement, sizes, machine }: Layout): boolean {
  const resident = residentTotal(placement);
  const missing = expertTotals(blueprint).total - resident;
  const streams = sizes.streams && missing > 0;
  const offloads = machine.accelerator !== machine.cpu;
  return (
    (missing === 0 || experts.cpu.length > 0) &&
    (!streams || experts.copy !== undefined) &&
    (!offloads || (resident === 0 && !streams) || experts.accelerator.length > 0)
  );
}

/** New rates, with the lanes that only the old ones have. */
function completed(measured: Rates['experts'], old: Rates['experts']): Rates['experts'] {
  const { cpu, accelerator, copy = old.copy, several = old.several } = measured;
  const longer = <T>(a: T[], b: T[]) => (a.length > 0 ? a : b);
  const callsOf = (now: Rates['experts']['calls'], before = now) => ({
    cpu: (cpu.length > 0 ? now : before).cpu,
    resident: (accelerator.length > 0 ? now : before).resident,
    streamed: (measured.copy === undefined ? before : now).streamed,
  });
  const contention = measured.copy === undefined ? old.contention : measured.contention;
  return {
    ...measured,
    cpu: longer(cpu, old.cpu),
    accelerator: longer(accelerator, old.accelerator),
    copy,
    calls: callsOf(measured.calls, old.calls),
    several: several && {
      calls: callsOf(several.calls, old.several?.calls),
      copy: several.copy ?? old.several?.copy,
      contention: several.contention ?? old.several?.contention,
    },
    contention,
  };
}
