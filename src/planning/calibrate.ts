import { describe } from '../engine/blueprint.js';
import { calibrationKey, recallRates, rememberRates } from '../engine/calibration.js';
import { layOut } from '../engine/layout.js';
import { fillLayout } from '../engine/load.js';
import { measureRates } from '../engine/measure.js';
import type { LoadOptions } from '../engine/options.js';
import type { Rates } from '../engine/rates.js';
import type { ModelSource } from '../engine/source.js';
import type { Patience } from '../experts/measure.js';
import { expertBytes } from '../experts/spec.js';
import { Type } from '../ggml/tensor.js';
import { sampleOf } from './sample.js';

/** Resident experts take about this much of the accelerator while measuring. */
const RESIDENT_BYTES = 2 ** 30;
/** Under 10 seconds. */
export const CAREFUL: Patience = { limit: 150, repeats: 9, least: 50 };
/** For `--thorough`: about a minute. */
export const THOROUGH: Patience = { limit: 1200, repeats: 25, least: 400 };

/** The rates of a model's pieces on this machine, and where they are stored. */
export interface Calibration {
  rates: Rates;
  key: string;
  /** They were measured now, not taken from the store. */
  fresh: boolean;
}

/** The stored rates for a model, or those of a sample of it. @throws FiddlerError as loading */
export function calibrated(source: ModelSource, options: LoadOptions): Calibration {
  const key = keyOf(source, options);
  const rates = recallRates(key);
  return rates?.fill !== undefined ? { rates, key, fresh: false } : calibrate(source, options, CAREFUL);
}

/** Measures a sample of the model on this machine and stores what came out. @throws FiddlerError as loading */
export function calibrate(source: ModelSource, options: LoadOptions, patience: Patience): Calibration {
  const key = keyOf(source, options);
  const rates = measureSample(source, options, patience);
  rememberRates(key, rates);
  return { rates, key, fresh: true };
}

function keyOf(source: ModelSource, options: LoadOptions): string {
  const layout = layOut(source, forRates(source, options), true);
  try {
    return calibrationKey(layout);
  } finally {
    layout.close();
  }
}

/** Every lane is measured, whatever was asked for: of each layer at least as many experts are resident as a token chooses. */
function forRates(source: ModelSource, options: LoadOptions): LoadOptions {
  const { accelerator, threads, dtype, cpuKernels, ctx, debug } = options;
  const experts = describe(source).spec.layers.flatMap(({ moe }) => (moe ? [moe.experts] : []));
  const bytes = experts.reduce((sum, of) => sum + of.count * expertBytes(of, Type.BF16), 0);
  const chosen = Math.max(...experts.map((of) => of.chosen / of.count));
  const expertsResident = Math.min(0.5, Math.max(chosen, RESIDENT_BYTES / bytes));
  return { accelerator, threads, dtype, cpuKernels, ctx, debug, expertsResident };
}

function measureSample(source: ModelSource, options: LoadOptions, patience: Patience): Rates {
  const sample = sampleOf(source);
  const layout = layOut(sample, forRates(sample, options));
  try {
    const { bytes, seconds } = fillLayout(layout);
    const rates = measureRates(layout, patience);
    return { ...rates, fill: bytes > 0 ? (1000 * seconds) / (bytes / 1e9) : 0 };
  } finally {
    layout.experts.wait();
    layout.close();
  }
}
