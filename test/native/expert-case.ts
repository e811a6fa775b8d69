import koffi from 'koffi';
import {
  type ExpertActivation,
  type ExpertTask,
  type ExpertType,
  encodeExperts,
  encodeLayer,
} from '../../src/native/expert-arguments.js';
import type { ExpertPool } from '../../src/native/kernels.js';
import { random, randomRow } from './weights.js';

export interface CaseOptions {
  hidden: number;
  ff: number;
  /** Of all matrices, or of gate, up and down. */
  type: ExpertType | readonly [gate: ExpertType, up: ExpertType, down: ExpertType];
  activation?: ExpertActivation;
  gated?: boolean;
  bias?: boolean;
  tokens: number;
  /** Tokens of each expert; by default one expert serves all tokens in order. */
  routes?: number[][];
  rows?: [number, number];
  /** Bytes after every row of a matrix; 3 by default, so that rows lie at every alignment. */
  gap?: number;
  seed?: number;
}

/** A row-major matrix in its stored type, at an odd address and with a gap after every row. */
interface Matrix {
  bytes: Uint8Array;
  address: bigint;
  stride: number;
  /** The stored values, exactly. */
  values: Float64Array;
}

interface Expert {
  gate?: Matrix;
  up: Matrix;
  down: Matrix;
  gateBias?: Float32Array;
  upBias?: Float32Array;
  downBias?: Float32Array;
  tokens: number[];
  weights: number[];
}

const ALPHA = 1.702;
const LIMIT = 1.5; // low enough that random values reach it

/** Random experts of one layer with a float64 reference. */
export class ExpertCase {
  readonly x: Float32Array;
  readonly experts: Expert[];
  readonly rows: [number, number];
  readonly hidden: number;
  private readonly activation: ExpertActivation;
  private computed?: Float64Array;

  constructor(readonly options: CaseOptions) {
    const { hidden, ff, tokens, seed = 1 } = options;
    const next = random(seed);
    this.activation = options.activation ?? 'silu';
    this.hidden = hidden;
    this.rows = options.rows ?? [0, ff];
    this.x = new Float32Array(tokens * hidden).map(next);
    const [gate, up, down] = typesOf(options.type);
    const matrix = (type: ExpertType, rows: number, columns: number, scale: number) =>
      this.matrix(type, rows, columns, scale, next);
    const vector = (n: number) => (options.bias ? Float32Array.from({ length: n }, next) : undefined);
    const routes = options.routes ?? [Array.from({ length: tokens }, (_, i) => i)];
    this.experts = routes.map((list) => ({
      gate: options.gated === false ? undefined : matrix(gate, ff, hidden, 2 / Math.sqrt(hidden)),
      up: matrix(up, ff, hidden, 2 / Math.sqrt(hidden)),
      down: matrix(down, hidden, ff, 1 / Math.sqrt(ff)),
      gateBias: options.gated === false ? undefined : vector(ff),
      upBias: vector(ff),
      downBias: vector(hidden),
      tokens: list,
      weights: list.map(() => 0.2 + Math.abs(next())),
    }));
  }

  /** y of the native kernels after it held `before` everywhere. */
  run(
    pool: ExpertPool,
    { fullF32 = false, rows = this.rows, before = 0.25, downBias = true, overwrite = false } = {},
  ): Float32Array {
    const { hidden, type, tokens } = this.options;
    const [gateType, upType, downType] = typesOf(type);
    const y = new Float32Array(tokens * hidden).fill(before);
    const { activation } = this;
    const common = { hidden, activation, fullF32, alpha: ALPHA, limit: LIMIT, overwrite };
    const layer = encodeLayer({ ...common, gateType, upType, downType });
    let first = 0;
    const tasks = this.experts.map((e): ExpertTask => {
      first += e.tokens.length;
      return {
        gate: e.gate?.address ?? 0n,
        up: e.up.address,
        down: e.down.address,
        gateBias: address(e.gateBias),
        upBias: address(e.upBias),
        downBias: downBias ? address(e.downBias) : 0n,
        gateStride: e.gate?.stride ?? 0,
        upStride: e.up.stride,
        downStride: e.down.stride,
        rowBegin: rows[0],
        rowEnd: rows[1],
        firstRoute: first - e.tokens.length,
        routes: e.tokens.length,
      };
    });
    const routes = {
      tokens: Int32Array.from(this.experts.flatMap((e) => e.tokens)),
      weights: Float32Array.from(this.experts.flatMap((e) => e.weights)),
    };
    pool.run(layer, encodeExperts(tasks), routes, this.x, y, tokens);
    return y;
  }

  /** What run adds to y, in float64. */
  reference(): Float64Array {
    this.computed ??= this.compute();
    return this.computed;
  }

  private compute(): Float64Array {
    const { hidden, ff, tokens } = this.options;
    const y = new Float64Array(tokens * hidden);
    const [a, b] = this.rows;
    const act = new Float64Array(ff);
    const inputs = new Float64Array(this.x);
    for (const e of this.experts)
      e.tokens.forEach((token, i) => {
        const x = inputs.subarray(token * hidden, (token + 1) * hidden);
        for (let r = a; r < b; r++) {
          const up = dot(e.up.values, r * hidden, x, 0, hidden) + (e.upBias?.[r] ?? 0);
          const gate = e.gate && dot(e.gate.values, r * hidden, x, 0, hidden) + (e.gateBias?.[r] ?? 0);
          act[r] = activate(this.activation, gate, up);
        }
        const weight = Math.fround(e.weights[i]!);
        for (let c = 0; c < hidden; c++)
          y[token * hidden + c]! += weight * (dot(e.down.values, c * ff + a, act, a, b - a) + (e.downBias?.[c] ?? 0));
      });
    return y;
  }

  private matrix(type: ExpertType, rows: number, columns: number, scale: number, next: () => number): Matrix {
    const { gap = 3 } = this.options;
    const stored = Array.from({ length: rows }, () => randomRow(type, columns, scale, next));
    const stride = stored[0]!.stored.length + gap;
    const memory = new Uint8Array(1 + rows * stride).fill(0xff); // NaN in every type, should it be read
    const values = new Float64Array(rows * columns);
    for (const [r, row] of stored.entries()) {
      memory.set(row.stored, 1 + r * stride);
      values.set(row.values, r * columns);
    }
    return { bytes: memory, address: koffi.address(memory) + 1n, stride, values };
  }
}

export function typesOf(type: CaseOptions['type']): readonly [ExpertType, ExpertType, ExpertType] {
  return typeof type === 'string' ? [type, type, type] : type;
}

const cases = new Map<string, ExpertCase>();

/** The case of these options, made once for all kernels. */
export function expertCase(options: CaseOptions): ExpertCase {
  const key = JSON.stringify(options);
  const made = cases.get(key) ?? new ExpertCase(options);
  cases.set(key, made);
  return made;
}

/** Σ (a - b)² / Σ b², where a is y less what it held before. */
export function normalisedError(y: Float32Array, reference: Float64Array, before = 0.25): number {
  let error = 0;
  let norm = 0;
  for (let i = 0; i < y.length; i++) {
    error += (y[i]! - before - reference[i]!) ** 2;
    norm += reference[i]! ** 2;
  }
  return error / norm;
}

function address(array: Float32Array | undefined): bigint {
  return array ? koffi.address(array) : 0n;
}

function dot(a: Float64Array, at: number, b: Float64Array, from: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[at + i]! * b[from + i]!;
  return sum;
}

/** Φ by its series; enough terms for |x| < 6 in float64. */
function normalCdf(x: number): number {
  if (Math.abs(x) > 6) return x > 0 ? 1 : 0;
  let term = x;
  let sum = x;
  for (let k = 1; k < 120; k++) {
    term *= (x * x) / (2 * k + 1);
    sum += term;
  }
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
}

function activate(activation: ExpertActivation, gate: number | undefined, up: number): number {
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
  const apply = (v: number): number => {
    if (activation === 'silu') return v * sigmoid(v);
    if (activation === 'gelu') return v * normalCdf(v);
    if (activation === 'gelu-tanh')
      return 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v * v * v)));
    return Math.max(v, 0) ** (activation === 'relu-squared' ? 2 : 1);
  };
  if (activation === 'silu-limited') {
    const g = Math.min(gate!, LIMIT);
    return g * sigmoid(g) * Math.min(Math.max(up, -LIMIT), LIMIT);
  }
  if (activation === 'swiglu-clamped') {
    const g = Math.min(gate!, LIMIT);
    const u = Math.min(Math.max(up, -LIMIT), LIMIT);
    return g * sigmoid(Math.fround(ALPHA) * g) * (u + 1);
  }
  return gate === undefined ? apply(up) : apply(gate) * up;
}
