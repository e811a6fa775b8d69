import { availableRam } from '../devices/cores.js';
import { fillLayout } from '../engine/load.js';
import { measureExperts } from '../experts/measure.js';
import type { Patience } from '../experts/repeat.js';
import { expertBytes, uniformTypes } from '../experts/spec.js';
import { describe, expertTotals, layerBytes } from '../loading/blueprint.js';
import { checkRam, PROCESS_BYTES } from '../loading/fitting.js';
import { modelRam, sumOf } from '../loading/footprint.js';
import { checkLayout, type Layout, layOut, openWeights } from '../loading/layout.js';
import type { ModelSource } from '../loading/source.js';
import { expertLayersOf } from '../models/model.js';
import { Type } from '../native/ggml/tensor.js';
import type { LoadOptions } from '../options.js';
import { calibrationKey, inPeace, recallRates, rememberRates } from '../pace/calibration.js';
import { timeFirstPrompt } from '../pace/first-prompt.js';
import { measureRates } from '../pace/measure.js';
import type { Rates } from '../pace/rates.js';
import { sleep } from '../sleep.js';
import { sampleOf } from './sample.js';

/** Resident experts take about this much of the accelerator while measuring. */
const RESIDENT_BYTES = 2 ** 30;
const COUNTS = { tokens: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512], lengths: [1, 32, 128, 512, 2048], heads: [8] };
/** Milliseconds until what others spoilt is measured again. */
const PAUSE = 1000;
/** Under 10 seconds. */
export const CAREFUL: Patience = { limit: 150, repeats: 9, least: 50, ...COUNTS };
/** For `--thorough`: about a minute. */
export const THOROUGH: Patience = { limit: 1200, repeats: 25, least: 400, ...COUNTS };

/** The rates of a model's pieces on this machine. */
export interface Calibration {
  rates: Rates;
  /** What they are stored under. */
  key: string;
  /** Whether they were: others may have spoilt them. */
  stored: boolean;
  /** Bytes of one expert. */
  bytes: number;
  /** What one expert takes on the CPU by threads; where it was measured now. */
  threads: ThreadRate[];
}

/** Milliseconds of one expert for one token. */
export interface ThreadRate {
  threads: number;
  ms: number;
}

/**
 * The stored rates for a model, or those of a sample of it.
 * @param layout of the whole model: what does not fit is not measured
 * @throws FiddlerError as loading
 */
export function calibrated(source: ModelSource, options: LoadOptions, layout: Layout): Rates {
  const key = calibrationKey(layout);
  const stored = recallRates(key);
  if (stored?.fill !== undefined) return stored;
  checkLayout(layout);
  checkRam(sumOf(modelRam(layout)), layout.machine.ram.available);
  const sample = openSample(source, options);
  try {
    return measured(sample, options, CAREFUL, key).rates;
  } finally {
    sample.close();
  }
}

/** Measures a sample of the model on this machine and stores what came out. @throws FiddlerError as loading */
export function calibrate(source: ModelSource, options: LoadOptions, patience: Patience): Calibration {
  const key = keyOf(source, options);
  const sample = openSample(source, options);
  try {
    const { rates, bytes, all, stored } = measured(sample, options, patience, key);
    const threads: ThreadRate[] = [];
    for (let count = 1; count < all; count *= 2) {
      const one = sample.measure(count, ({ experts, blueprint }) =>
        measureExperts(experts, blueprint.expertLayers, { chunk: 1, streams: false }, patience),
      );
      threads.push({ threads: count, ms: one.cpu[0]!.ms + one.calls.cpu });
    }
    threads.push({ threads: all, ms: rates.experts.cpu[0]!.ms + rates.experts.calls.cpu });
    return { rates, key, stored, bytes, threads };
  } finally {
    sample.close();
  }
}

/** Measures every lane with a sample and stores the rates, unless others spoilt them. */
function measured(sample: Sample, options: LoadOptions, patience: Patience, key: string) {
  const found = sample.measure(options.threads, (layout, fill) => {
    const firstTakesLonger = timeFirstPrompt(layout); // before anything is compiled
    const rates = measureInPeace(layout, patience);
    return {
      rates: { ...rates, first: firstTakesLonger(), fill },
      bytes: expertTotals(layout.blueprint).bytes,
      all: layout.machine.threads,
    };
  });
  return { ...found, stored: store(key, found.rates, options) };
}

function measureInPeace(layout: Layout, patience: Patience): Rates {
  return inPeace(
    () => measureRates(layout, patience),
    () => sleep(PAUSE),
  );
}

/** @returns whether they were stored */
function store(key: string, rates: Rates, { onWarning }: LoadOptions): boolean {
  if (rememberRates(key, rates)) return true;
  if (rates.crowded !== undefined) {
    const share = `${(100 * rates.crowded).toFixed(0)}%`;
    onWarning?.(
      `other programs had the cores for ${share} of the time while this machine was measured: less is certain, and nothing is stored`,
    );
    return false;
  }
  const percent = (100 * rates.experts.spread).toFixed(0);
  onWarning?.(`measurements differed by ±${percent}%, so that they are not stored: other programs use this machine`);
  return false;
}

function keyOf(source: ModelSource, options: LoadOptions): string {
  const layout = layOut(source, forRates(source, options), { countsOnly: true });
  try {
    return calibrationKey(layout);
  } finally {
    layout.close();
  }
}

/** Every lane is measured, whatever was asked for: of each layer at least as many experts are resident as a token chooses. */
function forRates(source: ModelSource, options: LoadOptions): LoadOptions {
  const { accelerator, threads, dtype, quantize, cpuKernels, ctx, debug } = options;
  const experts = expertLayersOf(describe(source).spec);
  const bytes = experts.reduce((sum, of) => sum + of.count * expertBytes(of, uniformTypes(of, Type.BF16)), 0);
  const chosen = Math.max(...experts.map((of) => of.chosen / of.count));
  const expertsResident = Math.min(0.5, Math.max(chosen, RESIDENT_BYTES / bytes));
  return { accelerator, threads, dtype, quantize, cpuKernels, ctx, debug, expertsResident, profile: false };
}

/** A sample of a model, whose weights are filled once. */
interface Sample {
  /** Lays it out for so many threads, and frees that once it was measured. @param run is told also what copying a GB took */
  measure<T>(threads: number | undefined, run: (layout: Layout, fill: number) => T): T;
  close(): void;
}

/** @throws FiddlerError `memory` where there is no room for it */
function openSample(source: ModelSource, given: LoadOptions): Sample {
  const { quantize, ...options } = forRates(source, given);
  const room = availableRam().available - PROCESS_BYTES - bytesBeside(sampleOf(source, undefined, quantize), options);
  const sample = sampleOf(source, room, quantize);
  const opened = openWeights(sample, options);
  return {
    measure(threads, run) {
      const layout = layOut(sample, { ...options, threads }, { opened });
      try {
        return layout.resources.during(() => {
          const { bytes, seconds } = fillLayout(layout);
          return run(layout, bytes > 0 ? (1000 * seconds) / (bytes / 1e9) : 0);
        });
      } finally {
        layout.close();
      }
    },
    close: () => opened.checkpoint.close(),
  };
}

/** RAM that a sample takes beside its weights, in bytes. */
function bytesBeside(sample: ModelSource, options: LoadOptions): number {
  const layout = layOut(sample, options, { countsOnly: true });
  try {
    const { blueprint, host, placement } = layout;
    const each = layerBytes(blueprint);
    const missing = blueprint.expertLayers.map(({ count }, l) => count - placement[l]!.length);
    const copied = missing.reduce((sum, count, l) => sum + (host.mustCopy(l) ? count * each[l]! : 0), 0);
    const { weights, ...others } = modelRam(layout);
    return sumOf(others) + copied;
  } finally {
    layout.close();
  }
}
