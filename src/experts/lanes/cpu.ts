import type { Assignments } from '../assignments.js';
import type { HostExperts } from '../host-experts.js';
import type { Share } from '../policy.js';
import type { ExpertsSpec } from '../spec.js';
import type { ExpertCompute } from './compute.js';

/** One layer's work for the CPU. */
export interface CpuCall {
  layer: number;
  shares: readonly Share[];
  assignments: Assignments;
  /** Tokens of the call. */
  tokens: number;
}

/** Computes the CPU lane's experts of one layer; what other lanes need is queued between `start` and `finish`. */
export interface CpuExperts {
  /** Name of the kernels, for the report. */
  readonly kernels: string;
  /** What the output holds before a call counts as 0; else it is added to. */
  readonly overwrites: boolean;
  start(call: CpuCall): void;
  /** Returns when every share is added to the output. */
  finish(): void;
  /** Returns when nothing is computed any more, whatever becomes of the call. */
  abandon(): void;
  /** Drops what was kept for an expert whose weights lie elsewhere from now on. */
  forget(layer: number, expert: number): void;
}

/** By ggml's kernels, in every type that ggml computes. */
export class GgmlExperts implements CpuExperts {
  readonly kernels = 'ggml';
  readonly overwrites = false;
  private call?: CpuCall;

  constructor(
    private readonly compute: ExpertCompute,
    private readonly host: HostExperts,
    private readonly layers: readonly ExpertsSpec[],
  ) {}

  start(call: CpuCall): void {
    this.compute.release();
    this.call = call;
  }

  finish(): void {
    const { layer, shares, assignments, tokens } = this.call!;
    for (const share of shares) {
      const placed = this.host.expert(layer, share.expert);
      this.compute.run(layer, share, placed, this.layers[layer]!.activation, { assignments, tokens });
    }
  }

  abandon(): void {
    this.call = undefined; // each graph was waited for
  }

  forget(layer: number, expert: number): void {
    this.compute.forget(layer, expert);
  }
}
