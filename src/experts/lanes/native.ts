import {
  type ExpertActivation,
  type ExpertPool,
  type ExpertTask,
  type ExpertType,
  encodeExperts,
  encodeLayer,
} from '../../ggml/experts.js';
import { type Tensor, Type } from '../../ggml/tensor.js';
import type { ActivationName } from '../activations.js';
import type { PlacedExpert } from '../expert.js';
import type { HostExperts } from '../host-experts.js';
import type { ExpertsSpec } from '../spec.js';
import type { CpuCall, CpuExperts } from './cpu.js';

/** Types and activations that the native kernels compute, by our names for them. */
const TYPES: Partial<Record<Type, ExpertType>> = {
  [Type.F32]: 'F32',
  [Type.F16]: 'F16',
  [Type.BF16]: 'BF16',
};
const ACTIVATIONS: Partial<Record<ActivationName, ExpertActivation>> = { silu: 'silu', relu: 'relu' };

/** Whether the native kernels compute experts of this kind; ggml's serve all others. */
export function nativeComputes({ activation, biases }: ExpertsSpec, type: Type): boolean {
  return !biases && ACTIVATIONS[activation] !== undefined && TYPES[type] !== undefined;
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
  private readonly addresses: Addresses[][];

  /** @param input what the experts read, and `output` what they add to, both in the host's memory */
  constructor(
    { name, pool, spin }: NativePool,
    private readonly host: HostExperts,
    private readonly layers: readonly ExpertsSpec[],
    type: Type,
    private readonly input: Tensor,
    private readonly output: Tensor,
  ) {
    this.kernels = name;
    this.pool = pool;
    if (spin) this.pool.begin();
    this.encoded = layers.map(({ hidden, activation }) =>
      encodeLayer({ hidden, type: TYPES[type]!, activation: ACTIVATIONS[activation]!, fullF32: type === Type.F32 }),
    );
    this.addresses = layers.map(() => []);
  }

  start({ layer, shares, assignments, tokens }: CpuCall): void {
    const tasks = shares.map(({ expert, range }) => ({
      ...(this.addresses[layer]![expert] ??= addressesOf(this.host.expert(layer, expert))),
      rowBegin: range?.from ?? 0,
      rowEnd: range?.to ?? this.layers[layer]!.width,
      firstRoute: assignments.start(expert),
      routes: assignments.count(expert),
    }));
    const routes = {
      tokens: assignments.rows.subarray(0, assignments.total),
      weights: assignments.weights.subarray(0, assignments.total),
    };
    const { address: x } = this.input;
    this.pool.start(this.encoded[layer]!, encodeExperts(tasks), routes, x, this.output.address, tokens);
  }

  finish(): void {
    this.pool.wait();
  }

  free(): void {
    this.pool.end();
    this.pool.close();
  }
}

type Addresses = Pick<ExpertTask, 'gate' | 'up' | 'down' | 'gateStride' | 'upStride' | 'downStride'>;

function addressesOf({ gate, up, down }: PlacedExpert): Addresses {
  return {
    gate: gate?.tensor.address ?? 0n,
    up: up.tensor.address,
    down: down.tensor.address,
    gateStride: gate?.tensor.strides[1] ?? 0,
    upStride: up.tensor.strides[1],
    downStride: down.tensor.strides[1],
  };
}
