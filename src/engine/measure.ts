import type { Experts } from '../experts/experts.js';
import { measureExperts, type Patience, QUICK, repeat } from '../experts/measure.js';
import type { LayerSpec } from '../models/model.js';
import type { Blueprint } from './blueprint.js';
import type { Network } from './network.js';
import type { Rates } from './rates.js';
import { createSampler } from './sampling.js';

/** Layers of a kind of which the mean is taken: neighbours may attend by different windows. */
const NEIGHBOURS = 2;
/** Calls after which JavaScript that loops over a vocabulary is compiled: it takes ten times as long before. */
const COMPILED = 32;

interface Measured {
  network: Network;
  experts: Experts;
  blueprint: Blueprint;
  sizes: { context: number; chunk: number; streams: boolean };
}

/** Measures what a loaded model's pieces take here. The KV cache and hidden states hold nothing of use afterwards. */
export function measureRates({ network, experts, blueprint, sizes }: Measured, patience: Patience = QUICK): Rates {
  const { chunk, context } = sizes;
  const timer = new Timer(experts, patience);
  const found: Rates = {
    experts: measureExperts(experts, blueprint.expertLayers, sizes, patience),
    sparse: [],
    dense: [],
    begin: [],
    head: timer.median(headOf(network, blueprint.spec.vocabulary)),
  };
  const { layers } = network.decoder;
  const kinds = { sparse: layersWhere(layers, true), dense: layersWhere(layers, false) };
  const measure = (tokens: number, past: number) => {
    const ids = Array.from({ length: tokens }, () => 0);
    const stack = network.pretend(past);
    found.begin.push({ tokens, past, ms: timer.median(() => stack.begin(ids, past)) });
    const shape = stack.begin(ids, past);
    for (const kind of ['sparse', 'dense'] as const) {
      const times = kinds[kind].map((l) => timer.median(() => stack.attend(l, shape)));
      if (times.length > 0) found[kind].push({ tokens, past, ms: times.reduce((a, b) => a + b) / times.length });
    }
  };
  const lengths = patience.lengths.filter((n) => n <= chunk);
  const pasts = new Set([0, context - lengths.at(-1)!]);
  for (const past of pasts) {
    for (const tokens of lengths) {
      measure(tokens, past);
      if (timer.last > patience.limit) break;
    }
  }
  if (!pasts.has(context - 1)) measure(1, context - 1);
  return found;
}

/** The logits of one token, and choosing the next by such as a model has. */
function headOf(network: Network, vocabulary: number): () => void {
  const sampler = createSampler({});
  const logits = Float32Array.from({ length: vocabulary }, (_, i) => -0.05 * (i % 1000));
  for (let i = 0; i < COMPILED; i++) sampler.sample(logits, []);
  return () => {
    network.logits([0]);
    sampler.sample(logits, []);
  };
}

function layersWhere(layers: readonly LayerSpec[], sparse: boolean): number[] {
  return [...layers.keys()].filter((l) => (layers[l]!.moe !== undefined) === sparse).slice(0, NEIGHBOURS);
}

class Timer {
  /** Milliseconds of the longest of the latest runs. */
  last = 0;

  constructor(
    private readonly experts: Experts,
    private readonly patience: Patience,
  ) {}

  median(run: () => void): number {
    const times = repeat(this.patience, () => {
      run();
      this.experts.wait();
    });
    this.last = times.at(-1)!;
    return times[times.length >> 1]!;
  }
}
