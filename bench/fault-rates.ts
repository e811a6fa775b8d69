import { QUICK } from '#fiddler/experts/repeat.js';
import { layOut } from '#fiddler/loading/layout.js';
import { folderSource } from '#fiddler/loading/source.js';
import type { LoadOptions } from '#fiddler/options.js';
import { calibrationKey, forgetRates, rememberRates } from '#fiddler/pace/calibration.js';
import { measureRates } from '#fiddler/pace/measure.js';

/** What the model's pieces take, as a quiet machine would have stored it. */
export interface StoredRates {
  remember(): void;
  forget(): void;
}

export function ratesFor(dir: string, options: LoadOptions): StoredRates {
  const layout = layOut(folderSource(dir), options);
  try {
    const key = calibrationKey(layout);
    const { crowded, ...rates } = measureRates(layout, QUICK);
    const steady = { ...rates, experts: { ...rates.experts, spread: 0 } };
    return { remember: () => rememberRates(key, steady), forget: () => forgetRates(key) };
  } finally {
    layout.close();
  }
}
