import { type Device, floats, type HostMemory, HostTensors, integers } from '../devices/device.js';
import { KeptGraphs } from '../devices/kept-graphs.js';
import type { ModelSpec } from '../models/model.js';
import { api } from '../native/ggml/api.js';
import type { Graph } from '../native/ggml/graph.js';
import { type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import type { Stack } from './stack.js';

/** Rows of logits that are computed at once. */
export const LOGIT_ROWS = 32;

/** Nodes and views of the head's graph, at most: several residual streams are joined there. */
const CAPACITY = 128;

export interface HeadParts {
  accelerator: Device;
  spec: Pick<ModelSpec, 'norm' | 'head' | 'vocabulary'>;
  decoder: Stack;
  /** Hidden states [calls, hidden] on the accelerator. */
  hidden: Tensor;
  sequences: number;
  hostMemory: HostMemory;
}

/** From hidden states to logits. */
export class Head {
  private readonly memory = new HostTensors(2);
  /** Rows of the hidden states, on the host and on the accelerator. */
  private readonly hostWanted: Tensor;
  private readonly wanted: Tensor;
  /** Logits [sequences, vocabulary] of a call in which each decodes: copies to such memory take a fraction of the time. */
  private readonly decoded?: { tensor: Tensor; values: Float32Array };
  /** By number of tokens whose logits are asked for. */
  private readonly kept: KeptGraphs<Tensor>;

  constructor(private readonly parts: HeadParts) {
    const { accelerator, spec, sequences, hostMemory } = parts;
    const { unified } = accelerator;
    this.kept = new KeptGraphs(accelerator);
    this.hostWanted = this.memory.tensor(Type.I32, LOGIT_ROWS);
    const rows = Math.min(sequences, LOGIT_ROWS);
    const tensor = unified ? undefined : this.memory.tensor(Type.F32, spec.vocabulary, rows);
    this.memory.allocate(hostMemory);
    this.decoded = tensor && { tensor, values: floats(tensor) };
    this.wanted = unified ? this.hostWanted : this.onAccelerator();
  }

  private onAccelerator(): Tensor {
    const context = new TensorContext(1);
    const wanted = context.tensor(Type.I32, LOGIT_ROWS);
    this.parts.accelerator.allocate(context, 'hidden states');
    return wanted;
  }

  /** Makes room on the accelerator for the largest graph. */
  reserve(): void {
    this.parts.accelerator.reserve(CAPACITY, (g) => this.build(g, LOGIT_ROWS));
  }

  /** Logits [vocabulary] after each of these tokens of the decoder's call, at most {@link LOGIT_ROWS} of them; in an array of that size. */
  logits(tokens: readonly number[], into?: Float32Array): Float32Array {
    const { accelerator, spec } = this.parts;
    integers(this.hostWanted).set(tokens);
    if (!accelerator.unified) accelerator.compute.write(this.wanted, this.hostWanted.address, 0, tokens.length * 4);
    const { graph, made } = this.kept.of(tokens.length, CAPACITY, (g) => this.build(g, tokens.length))!;
    accelerator.compute.computeAsync(graph);
    const values = into ?? new Float32Array(tokens.length * spec.vocabulary);
    this.read(made, values);
    return values;
  }

  private read(logits: Tensor, values: Float32Array): void {
    const { compute } = this.parts.accelerator;
    const { decoded } = this;
    if (decoded && values.length <= decoded.values.length) {
      compute.read(logits, decoded.tensor.address, values.byteLength);
      compute.synchronize();
      values.set(decoded.values.subarray(0, values.length));
    } else {
      compute.synchronize();
      api().tensorGet(logits.pointer, values, 0, values.byteLength);
    }
  }

  /**
   * Gives the logits [vocabulary] after each of these tokens in turn, however many there are.
   * @param into room for {@link LOGIT_ROWS} of them, or for all, which the next ones overwrite; without it they stay
   */
  each(tokens: readonly number[], give: (logits: Float32Array, index: number) => void, into?: Float32Array): void {
    const { vocabulary } = this.parts.spec;
    for (let from = 0; from < tokens.length; from += LOGIT_ROWS) {
      const some = tokens.slice(from, from + LOGIT_ROWS);
      const logits = this.logits(some, into?.subarray(0, some.length * vocabulary));
      for (const i of some.keys()) give(logits.subarray(i * vocabulary, (i + 1) * vocabulary), from + i);
    }
  }

  private build(g: Graph, count: number): Tensor {
    const { spec, decoder, hidden } = this.parts;
    const wanted = g.slice(this.wanted, 0, count);
    const rowsOf = (a: Tensor) => g.getRows(a, wanted);
    return g.output(spec.head(g, spec.norm(g, decoder.finished(g, rowsOf(hidden), undefined, rowsOf))));
  }

  /** All graphs of the accelerator were freed. */
  drop(): void {
    this.kept.drop();
  }
}
