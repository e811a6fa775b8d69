import type { Device } from '../devices/device.js';
import type { LayerSpec, Step } from '../models/model.js';
import type { Graph } from '../native/ggml/graph.js';
import type { Tensor } from '../native/ggml/tensor.js';
import type { StepInputs } from './inputs.js';
import type { RouteBuffers } from './routes.js';
import { type Stepped, stepOf } from './step.js';

export interface LayerGraphParts {
  accelerator: Device;
  layers: readonly LayerSpec[];
  /**
   * Hidden states [chunk, hidden] on the accelerator, of all residual streams; layers add to them, and experts where these
   * do not merge their sum.
   */
  hidden: Tensor;
  /**
   * Where some layer merges its experts' sum, or writes it to several streams: that, as wide as what they read, and what is
   * kept beside it. Of several streams the embeddings lie there at first.
   */
  merging?: { sum: Tensor; beside?: Tensor };
  inputs: StepInputs;
  routes: RouteBuffers;
}

/** A call, and whether the next router is asked about the present state. */
export interface Called extends Stepped {
  /** Told by what indexers choose, in the order of groups. */
  onScored?: Step['onScored'];
  /** Speculative expert loading (arXiv 2312.17238, section 3.2): the next router is asked about the present state. */
  guesses: boolean;
}

/** What is computed of a layer on the accelerator up to its experts, as graphs. */
export class LayerGraphs {
  private readonly supports: Step['supports'] = (operation) => this.parts.accelerator.compute.supports(operation);
  /** The next layer with experts, for each layer. */
  readonly following: readonly (LayerSpec | undefined)[];

  constructor(private readonly parts: LayerGraphParts) {
    const { layers } = parts;
    this.following = layers.map((_, l) => layers.slice(l + 1).find(({ moe }) => moe));
  }

  /** Layer `l` of a call, once what arrived is added. */
  build(g: Graph, l: number, called: Called, arrived?: Tensor): void {
    const layer = this.parts.layers[l]!;
    const x = this.finished(g, this.withArrived(g, called, arrived), l);
    if (layer.connections) this.connected(g, l, called, x);
    else this.plain(g, l, called, x);
  }

  private plain(g: Graph, l: number, called: Called, x: Tensor): void {
    const { attentionNorm, attention, cross, feedForwardNorm, dense, moe, parallel } = this.parts.layers[l]!;
    const step = this.stepOf(g, called);
    const read = attentionNorm?.(g, x);
    const own = attention ? g.compute(g.addTo(x, attention(g, read!, step))) : x;
    const attended = cross ? g.compute(g.addTo(own, cross.attend(g, cross.norm(g, own), step))) : own;
    if (!dense && !moe) return;
    const normal = parallel ? read! : feedForwardNorm!(g, attended);
    if (moe) this.askExperts(g, l, attended, normal);
    const state = dense ? g.compute(g.addTo(attended, dense(g, normal))) : attended;
    if (moe && called.guesses) this.askNext(g, l, state);
  }

  /** A layer between hyper-connections: x are all streams, and what the feed-forward and the experts give is summed aside. */
  private connected(g: Graph, l: number, called: Called, x: Tensor): void {
    const { layers, merging, routes } = this.parts;
    const { attentionNorm, attention, feedForwardNorm, dense, moe, connections, injection } = layers[l]!;
    const step = this.stepOf(g, called);
    const streams = injection ? g.add(x, injection(g, x, step)) : x;
    const first = connections!.attention.read(g, streams, this.supports);
    const mixed = attention!(g, attentionNorm?.(g, first.input) ?? first.input, step);
    const state = g.compute(g.copy(connections!.attention.write(g, streams, mixed, first.weights, this.supports), x));
    const second = connections!.feedForward.read(g, state, this.supports);
    const normal = feedForwardNorm?.(g, second.input) ?? second.input;
    g.compute(g.copy(second.weights, g.rows(merging!.beside!, 0, x.ne[1])));
    if (moe) {
      g.compute(g.copy(normal, g.rows(routes.input, 0, x.ne[1])));
      routes.build(g, moe, normal);
    }
    g.compute(g.copy(dense ? dense(g, normal) : g.scale(normal, 0), g.rows(merging!.sum, 0, x.ne[1])));
    if (moe && called.guesses) this.askNext(g, l, state);
  }

  /** The hidden states of a call, once what arrived is added: to them, or to the sum of the experts before. */
  private withArrived(g: Graph, { tokens }: Called, arrived?: Tensor): Tensor {
    const { hidden, merging } = this.parts;
    const x = g.rows(hidden, 0, tokens);
    if (!arrived) return x;
    const added = g.compute(g.addTo(g.rows(merging?.sum ?? hidden, 0, tokens), g.rows(arrived, 0, tokens)));
    return merging ? x : added;
  }

  /**
   * Gives the experts of layer `l` what they read, and its router; where their sum is merged it begins at 0.
   * @param x the state before them, and as it is normalised
   */
  private askExperts(g: Graph, l: number, x: Tensor, normal: Tensor): void {
    const { routes, merging, layers } = this.parts;
    const { moe, merge } = layers[l]!;
    const read = moe!.input?.(g, normal) ?? normal;
    g.compute(g.copy(read, g.rows(routes.input, 0, x.ne[1])));
    routes.build(g, moe!, moe!.routerNorm?.(g, x) ?? normal);
    if (!merging) return;
    if (merge?.beside) g.compute(g.copy(merge.beside(g, x, normal), g.rows(merging.beside!, 0, x.ne[1])));
    g.compute(g.copy(g.scale(read, 0), g.rows(merging.sum, 0, x.ne[1])));
  }

  /** Asks the router of the layer with experts behind `l` about the present state. */
  private askNext(g: Graph, l: number, state: Tensor): void {
    const next = this.following[l];
    if (!next) return;
    const read = next.connections?.feedForward.read(g, state, this.supports).input ?? state;
    const normal = next.moe!.routerNorm ?? next.feedForwardNorm;
    this.parts.routes.build(g, next.moe!, normal?.(g, read) ?? read, this.parts.layers[l]!.moe!.experts.count);
  }

  /**
   * The hidden states that layer `l` takes, or what follows the last: with what the layer before does behind its experts.
   * @param rowsOf the rows of a [chunk, …] of which x are the hidden states: the first by default
   */
  finished(
    g: Graph,
    x: Tensor,
    l = this.parts.layers.length,
    rowsOf = (a: Tensor): Tensor => g.rows(a, 0, x.ne[1]),
  ): Tensor {
    const { merging, layers } = this.parts;
    const { epilogue, merge, moe, connections } = layers[l - 1] ?? {};
    if (connections) {
      const [sum, weights] = [rowsOf(merging!.sum), rowsOf(merging!.beside!)];
      return g.compute(g.copy(connections.feedForward.write(g, x, sum, weights, this.supports), x));
    }
    if (layers[l]?.connections) return g.compute(g.copy(g.repeat(rowsOf(merging!.sum), x.ne), x));
    if (moe && merging) {
      const sum = rowsOf(merging.sum);
      const beside = merge?.beside && rowsOf(merging.beside!);
      return g.compute(merge ? g.copy(merge.join(g, x, sum, beside), x) : g.addTo(x, sum));
    }
    return epilogue ? g.compute(g.addTo(x, epilogue(g, x))) : x;
  }

  private stepOf(g: Graph, called: Called) {
    const { alignment } = this.parts.accelerator;
    const step = stepOf(g, called, this.parts.inputs, { supports: this.supports, alignment });
    const { onScored } = called;
    if (!onScored) return step;
    return { ...step, onScored: (scores: Tensor, kept: number) => onScored(g.output(scores), kept) };
  }
}
