import {
  EXPERT_TYPES,
  type ExpertLayer,
  ExpertList,
  type ExpertType,
  encodeLayer,
  encodePlace,
} from '../../native/expert-arguments.js';
import { type Tensor, Type, typeName } from '../../native/ggml/tensor.js';
import type { ExpertPool } from '../../native/kernels.js';
import { type ActivationName, CLAMPED_SWIGLU, SILU_LIMIT } from '../activations.js';
import { biasesAt, biasLayout, type PlacedExpert } from '../expert.js';
import type { HostExperts } from '../host-experts.js';
import type { ExpertsSpec, MatrixTypes } from '../spec.js';
import type { CpuCall, CpuExperts } from './cpu.js';

/** A type's name where the native kernels compute it. */
function nativeType(type: Type): ExpertType | undefined {
  const name = typeName(type);
  return name in EXPERT_TYPES ? (name as ExpertType) : undefined;
}

/** Activations that the native kernels compute, by our names for them. */
const ACTIVATIONS: Partial<Record<ActivationName, Pick<ExpertLayer, 'activation' | 'alpha' | 'limit'>>> = {
  silu: { activation: 'silu' },
  'gelu-tanh': { activation: 'gelu-tanh' },
  relu: { activation: 'relu' },
  'relu-squared': { activation: 'relu-squared' },
  'silu-limited': { activation: 'silu-limited', limit: SILU_LIMIT },
  'swiglu-clamped': { activation: 'swiglu-clamped', ...CLAMPED_SWIGLU },
};

/** Whether the native kernels compute experts of this kind; ggml's serve all others. */
export function nativeComputes({ activation, scales }: ExpertsSpec, types: MatrixTypes): boolean {
  return (
    !scales &&
    ACTIVATIONS[activation] !== undefined &&
    Object.values(types).every((type) => nativeType(type) !== undefined)
  );
}

/** The native kernels' threads. */
export interface NativePool {
  /** Name of the kernel in use. */
  name: string;
  pool: ExpertPool;
  /** Idle threads wait spinning: only where no other pool computes between an expert and the next. */
  spin: boolean;
}

/** By this project's own kernels: all of a layer's experts in one call, on a pool of their own. */
export class NativeExperts implements CpuExperts {
  readonly kernels: string;
  private readonly pool: ExpertPool;
  private readonly encoded: readonly Uint8Array[];
  /** Encoded at first use, by layer and expert: with the bias of down, and without. */
  private readonly places: Record<'first' | 'later', (Uint8Array | undefined)[]>[];
  private readonly list: ExpertList;
  private readonly inputAddress: bigint;
  private readonly outputAddress: bigint;

  /** @param input what the experts read, and `output` what they add to, both in the host's memory */
  constructor(
    { name, pool, spin }: NativePool,
    private readonly host: HostExperts,
    private readonly layers: readonly ExpertsSpec[],
    types: readonly MatrixTypes[],
    input: Tensor,
    output: Tensor,
    readonly overwrites: boolean,
  ) {
    this.kernels = name;
    this.pool = pool;
    if (spin) this.pool.begin();
    this.encoded = layers.map(({ hidden, activation }, l) => {
      const { gate, up, down } = types[l]!;
      return encodeLayer({
        hidden,
        gateType: gate === undefined ? undefined : nativeType(gate),
        upType: nativeType(up)!,
        downType: nativeType(down)!,
        ...ACTIVATIONS[activation]!,
        fullF32: up === Type.F32,
        overwrite: this.overwrites,
      });
    });
    this.places = layers.map(() => ({ first: [], later: [] }));
    this.list = new ExpertList(Math.max(...layers.map(({ count }) => count)));
    this.inputAddress = input.address;
    this.outputAddress = output.address;
  }

  start({ layer, shares, assignments, tokens }: CpuCall): void {
    const { width } = this.layers[layer]!;
    this.list.clear();
    for (const { expert, range } of shares) {
      const { from, to } = range ?? { from: 0, to: width };
      // Of an expert's parts, the first adds the bias of down.
      const places = this.places[layer]![from === 0 ? 'first' : 'later'];
      const place = (places[expert] ??= placeOf(this.layers[layer]!, this.host.expert(layer, expert), from === 0));
      this.list.add(place, from, to, assignments.start(expert), assignments.count(expert));
    }
    const routes = {
      tokens: assignments.rows.subarray(0, assignments.end),
      weights: assignments.weights.subarray(0, assignments.end),
    };
    this.pool.start(this.encoded[layer]!, this.list.encoded, routes, this.inputAddress, this.outputAddress, tokens);
  }

  finish(): void {
    this.pool.wait();
  }

  abandon(): void {
    this.pool.wait();
  }

  forget(layer: number, expert: number): void {
    const { first, later } = this.places[layer]!;
    first[expert] = undefined;
    later[expert] = undefined;
  }
}

function placeOf(spec: ExpertsSpec, { gate, up, down, biases }: PlacedExpert, downBias: boolean): Uint8Array {
  const before = biasLayout(spec);
  const bias = (name: 'gate' | 'up' | 'down') =>
    biases && before[name] !== undefined ? biasesAt(biases).address + BigInt(before[name] * 4) : undefined;
  return encodePlace({
    gate: gate?.tensor.address ?? 0n,
    up: up.tensor.address,
    down: down.tensor.address,
    gateBias: bias('gate'),
    upBias: bias('up'),
    downBias: downBias ? bias('down') : undefined,
    gateStride: gate?.tensor.strides[1] ?? 0,
    upStride: up.tensor.strides[1],
    downStride: down.tensor.strides[1],
  });
}
