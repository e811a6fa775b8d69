import { type Device, floats, type HostMemory, HostTensors } from '../../devices/device.js';
import { KEPT_ROWS, KeptGraphs } from '../../devices/kept-graphs.js';
import type { Graph } from '../../native/ggml/graph.js';
import { type Tensor, TensorContext, Type } from '../../native/ggml/tensor.js';

/** Nodes and views of the graph that adds them. */
const CAPACITY = 8;

/**
 * What the CPU lane computes for an accelerator: summed in the host's memory, where the next layer's graph reads it, or a
 * copy of it, and adds it to what experts add to as its first operation, so that it takes no graph of its own.
 */
export class CpuSums {
  /** [chunk, hidden] in the host's memory. */
  readonly host: Tensor;
  /** Tokens whose sums were sent and not added yet. */
  private waiting = 0;
  private readonly memory = new HostTensors(1);
  private readonly values: Float32Array;
  /** What the accelerator adds of them. */
  readonly arrived: Tensor;
  /** By number of tokens. */
  private readonly kept: KeptGraphs;
  private other?: Graph;

  constructor(
    private readonly accelerator: Device,
    private readonly output: Tensor,
    hostMemory: HostMemory,
  ) {
    const [width, chunk] = output.ne;
    this.host = this.memory.tensor(Type.F32, width, chunk);
    this.memory.allocate(hostMemory);
    this.values = floats(this.host);
    this.arrived = this.memory.reached ? this.host : this.copyOf(width, chunk);
    this.kept = new KeptGraphs(accelerator);
  }

  private copyOf(width: number, chunk: number): Tensor {
    const context = new TensorContext(1);
    const copy = context.tensor(Type.F32, width, chunk);
    this.accelerator.allocate(context, 'sums of the CPU lane');
    return copy;
  }

  clear(tokens: number): void {
    this.values.fill(0, 0, tokens * this.output.ne[0]);
  }

  /** The sums of the first `tokens` tokens are there: queues their copy where there is one. */
  send(tokens: number): void {
    const { arrived, host } = this;
    if (arrived !== host) this.accelerator.compute.write(arrived, host.address, 0, tokens * this.output.ne[0] * 4);
    this.waiting = tokens;
  }

  /** What was sent [chunk, hidden], for the caller to add; undefined where nothing was since the last time. */
  take(): Tensor | undefined {
    const tokens = this.waiting;
    this.waiting = 0;
    return tokens > 0 ? this.arrived : undefined;
  }

  /** Queues output += sums where no other graph added what was sent. */
  settle(): void {
    const tokens = this.waiting;
    if (this.take()) this.accelerator.compute.computeAsync(this.graph(tokens));
  }

  private graph(tokens: number): Graph {
    const build = (g: Graph) => g.compute(g.addTo(g.rows(this.output, 0, tokens), g.rows(this.arrived, 0, tokens)));
    if (tokens <= KEPT_ROWS) return this.kept.of(tokens, CAPACITY, build)!.graph;
    this.other?.free();
    this.other = this.accelerator.graph(CAPACITY, build);
    return this.other;
  }

  /** What was sent is not added any more, and all graphs of the accelerator were freed. */
  drop(): void {
    this.waiting = 0;
    this.kept.drop();
    this.other = undefined;
  }
}
