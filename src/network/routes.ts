import { type Device, floats, type HostMemory, HostTensors } from '../devices/device.js';
import { KEPT_ROWS } from '../devices/kept-graphs.js';
import type { Routes } from '../experts/assignments.js';
import type { LayerSpec, MoeSpec } from '../models/model.js';
import { dropOverflow } from '../models/router-capacity.js';
import type { Event } from '../native/ggml/backend.js';
import type { Graph } from '../native/ggml/graph.js';
import { type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import type { Group } from './batch.js';
import type { Choices } from './choices.js';

/** Told what a layer's router was asked, [tokens, experts], and what it answered; both are valid during the call. */
export type OnRouted = (layer: number, moe: MoeSpec, logits: Float32Array, routes: Routes) => void;

/** The rows of a call, and whose they are. */
interface Called {
  tokens: number;
  groups: readonly Group[];
}

/**
 * What a layer's experts read, with the logits of its router behind that, so that in decoding one copy brings both to the host;
 * the router chooses there.
 */
export class RouteBuffers {
  /** What experts read [chunk, width], more rows for logits behind those of a call: on the accelerator, and on the host. */
  readonly input: Tensor;
  readonly hostInput: Tensor;
  /** Observes the routers; for comparisons. */
  onRouted?: OnRouted;

  private readonly memory = new HostTensors(1);
  private readonly context?: TensorContext;
  private readonly values: Float32Array;
  private readonly experts: Int32Array;
  private readonly weights: Float32Array;
  private readonly guessed: Float32Array;
  /** Recorded once the logits are on the host, and all of it; missing where that is not told apart from what is queued behind. */
  private readonly arrived?: Event;
  private readonly allArrived?: Event;
  /** What experts read of a call of many tokens may still travel. */
  private travels = false;

  constructor(
    private readonly accelerator: Device,
    layers: readonly LayerSpec[],
    private readonly width: number,
    chunk: number,
    hostMemory: HostMemory,
    private readonly choices: Choices,
    /** Ids of the present call's tokens [chunk], by which some routers choose. */
    private readonly tokens: Int32Array,
  ) {
    const most = (of: (moe: MoeSpec) => number) => Math.max(1, ...layers.map(({ moe }) => (moe ? of(moe) : 0)));
    // Beside those of a call, the logits of one token that are a guess.
    const logits = most((moe) => moe.experts.count) * (chunk + 1);
    const rows = chunk + Math.ceil(logits / width);
    this.hostInput = this.memory.tensor(Type.F32, width, rows);
    this.memory.allocate(hostMemory);
    if (accelerator.unified) this.input = this.hostInput;
    else {
      this.context = new TensorContext(1);
      this.input = this.context.tensor(Type.F32, width, rows);
      accelerator.allocate(this.context, 'router logits');
    }
    this.values = floats(this.hostInput);
    this.arrived = accelerator.event();
    this.allArrived = accelerator.event();
    this.experts = new Int32Array(most((moe) => moe.router.chosen) * chunk);
    this.weights = new Float32Array(this.experts.length);
    this.guessed = new Float32Array(most((moe) => moe.router.chosen));
  }

  /**
   * Adds a router to a layer's graph: x [hidden, n] (ggml's order) → logits [experts, n].
   * @param first where they lie: behind the layer's own for a guess of what the next router will say
   */
  build(g: Graph, moe: MoeSpec, x: Tensor, first = 0): void {
    const { count } = moe.experts;
    const tokens = x.ne[1];
    const strides = [4, count * 4, count * tokens * 4, count * tokens * 4] as const;
    const target = g.view(this.input, [count, tokens, 1, 1], (tokens * this.width + first) * 4, strides);
    g.compute(g.copy(g.matmul(moe.gate.tensor, x), target));
  }

  /**
   * Queues the copy to the host of what the experts read and of the logits, with those of the guess where there is one. Of many
   * tokens the logits come first: the router chooses while the rest travels.
   */
  read(moe: MoeSpec, tokens: number, guess?: MoeSpec): void {
    const rows = tokens * this.width;
    const logits = tokens * moe.experts.count + (guess?.experts.count ?? 0);
    const arrived = this.arrivedOf(tokens);
    if (!arrived) {
      this.copy(0, rows + logits);
      return;
    }
    this.copy(rows, logits);
    arrived.record(this.accelerator.compute);
    this.copy(0, rows);
    this.allArrived!.record(this.accelerator.compute);
    this.travels = true;
  }

  /** Told of the logits of so many tokens; undefined where they come with the rest. */
  private arrivedOf(tokens: number): Event | undefined {
    return tokens > KEPT_ROWS ? this.arrived : undefined;
  }

  private copy(from: number, count: number): void {
    const { accelerator, input, hostInput } = this;
    accelerator.compute.read(input, hostInput.address + BigInt(from * 4), count * 4, from * 4);
  }

  /** Returns once the logits of `tokens` tokens are on the host, and all is computed that was queued before. */
  wait(tokens: number): void {
    (this.arrivedOf(tokens) ?? this.accelerator.compute).synchronize();
  }

  /** Returns once what the experts read is on the host; of few tokens it is there with the logits. */
  readonly awaitInput = (): void => {
    if (this.travels) this.allArrived!.synchronize();
    this.travels = false;
  };

  /**
   * The router's choice for each token, once the logits are on the host. Where experts have a capacity, each sequence
   * claims its own, so that others in the call change nothing.
   */
  choose({ router, capacity, experts }: MoeSpec, layer: number, { tokens, groups }: Called): Routes {
    const { chosen } = router;
    const logits = this.logitsOf({ experts }, tokens);
    this.choices.choose(router, logits, this.tokens.subarray(0, tokens), this.experts, this.weights);
    if (capacity) {
      for (const group of groups) {
        for (let i = 0; i < group.sequences; i++) {
          const first = (group.first + i * group.tokens) * chosen;
          const ids = this.experts.subarray(first, first + group.tokens * chosen);
          dropOverflow(ids, chosen, experts.count, capacity(group.tokens));
        }
      }
    }
    return { layer, tokens, chosen, experts: this.experts, weights: this.weights };
  }

  /** The logits [tokens, experts] of the present layer, once they are on the host; valid until the next layer's. */
  logitsOf({ experts }: Pick<MoeSpec, 'experts'>, tokens: number): Float32Array {
    return this.values.subarray(tokens * this.width, tokens * (this.width + experts.count));
  }

  /** What the next layer's router would choose for a call's only token, by logits that lie behind this layer's. */
  guess(moe: MoeSpec, next: MoeSpec): Int32Array {
    const from = this.width + moe.experts.count;
    const ids = new Int32Array(next.router.chosen);
    const weights = this.guessed.subarray(0, ids.length);
    const logits = this.values.subarray(from, from + next.experts.count);
    if (next.router.guess) next.router.guess(logits, ids, weights);
    else this.choices.choose(next.router, logits, this.tokens.subarray(0, 1), ids, weights);
    return ids;
  }
}
