import { rowsTogether } from '../experts/spec.js';
import type { Layout } from '../loading/layout.js';
import { type LayerSpec, layersOf } from '../models/model.js';
import type { Expected, Figure } from '../report.js';
import { type Prediction, predictDecode, predictPrefill } from './prediction.js';
import { paceOf, type Rates } from './rates.js';
import type { Scenario } from './simulation.js';

type Parts = Pick<Layout, 'blueprint' | 'experts' | 'placement' | 'profile' | 'sizes'>;

/** A laid out model at rates, by the policy in use. @param fresh the process has not answered yet */
export function scenarioOf(
  { blueprint, experts, placement, profile, sizes }: Parts,
  rates: Rates,
  fresh: boolean,
): Scenario {
  const { expertLayers: layers, expertTypes, spec } = blueprint;
  return {
    pace: paceOf(rates),
    layers,
    together: expertTypes.map(rowsTogether),
    denseLayers: layersOf(spec).length - layers.length,
    encoder: spec.encoder && counted(spec.encoder.layers),
    placement,
    policy: experts.policy,
    decides: experts.decides,
    slots: { one: sizes.slotsForOne, several: sizes.slots },
    prefetch: experts.prefetches,
    chunk: sizes.chunk,
    fresh,
    popularity: profile?.counts,
  };
}

function counted(layers: readonly LayerSpec[]): Scenario['encoder'] {
  const sparse = layers.filter(({ moe }) => moe).length;
  return { sparse, dense: layers.length - sparse };
}

/** @param prompt tokens computed before the first token @param past tokens before those that are decoded */
export function expect(scenario: Scenario, prompt: number, past: number): Expected {
  const first = predictPrefill(scenario, prompt);
  const next = predictDecode(scenario, past);
  const figure = ({ ms, limit }: Prediction, of: (ms: number) => number, low: number, high: number): Figure => ({
    value: of(ms),
    low: of(low),
    high: of(high),
    limit,
  });
  return {
    ttft: figure(first, (ms) => ms / 1000, first.low, first.high),
    decodeRate: figure(next, (ms) => 1000 / ms, next.high, next.low),
  };
}
