import { CoreWatch } from '../devices/core-watch.js';
import type { Routes } from '../experts/assignments.js';
import { makespan } from '../experts/costs.js';
import type { Experts } from '../experts/experts.js';
import { measureExperts } from '../experts/measure.js';
import { delay, mean, type Patience, QUICK, repeat } from '../experts/repeat.js';
import type { Blueprint } from '../loading/blueprint.js';
import type { LayerSpec } from '../models/model.js';
import { attended } from '../network/forward.js';
import type { Network } from '../network/network.js';
import { madeUpChoice } from '../sampling/sampling.js';
import { paceOf, type Rates, withoutExperts } from './rates.js';

/** Layers of a kind of which the mean is taken: neighbours may attend by different windows. */
const NEIGHBOURS = 2;
/** Single tokens are measured behind so many others, then so many times as many: kernels divide a long context otherwise. */
const NEAR = 128;
const FARTHER = 4;
/** Tokens that are decoded one after another where one takes at most so many milliseconds. */
const DECODED = 64;
const SHORT = 20;
/** Calls after which JavaScript that loops over a vocabulary is compiled: it takes ten times as long before. */
const COMPILED = 32;

/** Others take so much of the cores that what is measured is not what the machine can do. */
const CROWDED = 0.1;

interface Measured {
  network: Network;
  experts: Experts;
  blueprint: Blueprint;
  sizes: { context: number; chunk: number; streams: boolean };
}

/**
 * Measures what a loaded model's pieces take here. The KV cache and hidden states hold nothing of use afterwards.
 * @param throwIfEnded asked between measurements; what it throws ends them
 */
export function measureRates(
  measured: Measured,
  patience: Patience = QUICK,
  throwIfEnded: () => void = () => {},
): Rates {
  const watch = new CoreWatch();
  let longest = 1;
  const onDelay = (times: number) => {
    longest = Math.max(longest, times);
  };
  const rates = measurePieces(measured, patience, throwIfEnded, onDelay);
  return widened(rates, watch.lost, longest);
}

/**
 * Rates that others spoilt say so, and vary by as much as they may be wrong.
 * @param lost share of the time in which others had the cores
 * @param longest how many times as long as at its fastest a piece took in the mean
 */
export function widened(rates: Rates, lost: number, longest: number): Rates {
  if (lost < CROWDED) return rates;
  const times = Math.max(longest, 1 / (1 - Math.min(lost, 0.99)));
  const spread = Math.max(rates.experts.spread, times - 1);
  return { ...rates, experts: { ...rates.experts, spread }, crowded: lost };
}

function measurePieces(
  { network, experts, blueprint, sizes }: Measured,
  patience: Patience,
  throwIfEnded: () => void,
  onDelay: (times: number) => void,
): Rates {
  const { chunk, context } = sizes;
  const timer = new Timer(experts, patience, throwIfEnded, onDelay);
  const { layers } = network.decoder;
  const kinds = { sparse: layersWhere(layers, true), dense: layersWhere(layers, false) };
  const { vocabulary } = blueprint.spec;
  const head = headOf(network, vocabulary);
  const attend = attending(network, kinds.sparse[0]);
  const between = () => {
    throwIfEnded();
    attend();
  };
  const found: Rates = {
    experts: measureExperts(experts, blueprint.expertLayers, sizes, patience, between, onDelay),
    sparse: [],
    dense: [],
    begin: [],
    between: [],
    first: 0,
    head: timer.mean(head),
    heads: patience.heads.map((rows) => ({ tokens: rows, ms: timer.mean(headOf(network, vocabulary, rows)) })),
  };
  const measure = (tokens: number, past: number) => {
    const ids = Array.from({ length: tokens }, () => 0);
    const stack = network.decoder;
    const call = network.madeUp(ids, past);
    found.begin.push({ tokens, past, ms: timer.mean(() => stack.begin(call)) });
    const shape = stack.begin(call);
    let routes: Routes | undefined;
    const compute = () => {
      if (tokens === 1 && routes) experts.measure(routes);
      experts.wait();
    };
    for (const kind of ['sparse', 'dense'] as const) {
      const attend = (l: number) => {
        routes = attended(stack, l, shape) ?? routes;
      };
      const times = kinds[kind].map((l) => timer.mean(() => attend(l), compute));
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
  for (let past = NEAR; past < context - 1; past *= FARTHER) measure(1, past);
  if (!pasts.has(context - 1)) measure(1, context - 1);
  const places = new Set([NEAR, context].map((past) => Math.max(0, Math.min(past, context - DECODED))));
  found.between = [...places].flatMap((past) => {
    const ms = beyondPieces(found, { network, experts, blueprint, sizes }, head, past, patience);
    return ms === undefined ? [] : [{ tokens: 1, past, ms }];
  });
  return found;
}

/**
 * Milliseconds a layer by which decoding behind `past` tokens takes longer than its pieces; undefined where tokens take so
 * long that this is little of them. Each expert is computed where it is.
 */
function beyondPieces(
  rates: Rates,
  { network, experts, blueprint: { expertLayers } }: Measured,
  head: () => void,
  past: number,
  { limit }: Patience,
): number | undefined {
  const stack = network.decoder;
  const pace = paceOf(rates);
  const { costs } = pace;
  const sparse = stack.layers.filter(({ moe }) => moe).length;
  const others = withoutExperts(pace, { sparse, dense: stack.layers.length - sparse }, 1, past) + pace.head(1);
  const total = expertLayers.reduce((sum, { count }) => sum + count, 0);
  const missing = experts.offloads ? 1 - experts.resident.count / total : 1;
  // Asked before anything is computed: what lies on a disk would be read for it.
  if (others + missing * sparse * expertLayers[0]!.chosen * costs.cpu(1) > SHORT) return undefined;

  let routed = 0;
  const token = (position: number) => {
    const shape = stack.begin(network.madeUp([0], position));
    for (const l of stack.layers.keys()) {
      const routes = attended(stack, l, shape);
      if (routes) routed += makespan(experts.measure(routes), costs, expertLayers[0]!.width);
    }
    head();
    experts.wait();
  };
  token(past);
  routed = 0;
  let tokens = 0;
  const start = performance.now();
  while (tokens < DECODED && performance.now() - start < limit) token(past + tokens++);
  const ms = performance.now() - start;
  return Math.max(0, (ms - routed) / tokens - others) / stack.layers.length;
}

/** The logits of so many tokens, and choosing the next by such as a model has. */
function headOf(network: Network, vocabulary: number, rows = 1): () => void {
  const choose = madeUpChoice(vocabulary);
  for (let i = 0; i < COMPILED; i++) choose();
  const wanted = Array<number>(rows).fill(0);
  const logits = new Float32Array(rows * vocabulary);
  return () => {
    network.head.logits(wanted, logits);
    for (let i = 0; i < rows; i++) choose();
  };
}

/** Computes a layer of the decoder for one token, up to its experts. */
function attending(network: Network, layer = 0): () => void {
  const stack = network.decoder;
  const call = network.madeUp([0], 0);
  // Embedded anew: what experts added of made-up inputs may be no number, and would stay in recurrent states.
  return () => void attended(stack, layer, stack.begin(call));
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
    private readonly throwIfEnded: () => void,
    private readonly onDelay: (times: number) => void,
  ) {}

  mean(run: () => void, between?: () => void): number {
    this.throwIfEnded();
    const all = () => {
      run();
      this.experts.wait();
    };
    const times = repeat(this.patience, all, between);
    this.last = times.at(-1)!;
    this.onDelay(delay(times));
    return mean(times);
  }
}
