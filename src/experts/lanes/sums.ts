import { type Device, floats, HostTensors } from '../../devices/device.js';
import type { Pointer } from '../../ggml/api.js';
import type { Graph } from '../../ggml/graph.js';
import { type Tensor, TensorContext, Type } from '../../ggml/tensor.js';

/** What the CPU lane computes for an accelerator: summed in the host's memory, then added to the hidden states there. */
export class CpuSums {
  /** [chunk, hidden] in the host's memory. */
  readonly host: Tensor;
  private readonly memory = new HostTensors(1);
  private readonly values: Float32Array;
  private readonly context = new TensorContext(1);
  private readonly arrived: Tensor;
  private forOne?: Graph;
  private forRows?: Graph;

  constructor(
    private readonly accelerator: Device,
    private readonly hidden: Tensor,
    hostType: Pointer,
  ) {
    const [width, chunk] = hidden.ne;
    this.host = this.memory.tensor(Type.F32, width, chunk);
    this.memory.allocate(hostType);
    this.values = floats(this.host);
    this.arrived = this.context.tensor(Type.F32, width, chunk);
    accelerator.allocate(this.context, 'sums of the CPU lane');
  }

  clear(tokens: number): void {
    this.values.fill(0, 0, tokens * this.hidden.ne[0]);
  }

  /** Queues hidden += sums for the first `tokens` tokens. */
  add(tokens: number): void {
    const { compute } = this.accelerator;
    compute.write(this.arrived, this.host.address, 0, tokens * this.hidden.ne[0] * 4);
    compute.computeAsync(this.graph(tokens));
  }

  private graph(tokens: number): Graph {
    const build = () =>
      this.accelerator.graph(8, (g) =>
        g.compute(g.addTo(g.rows(this.hidden, 0, tokens), g.rows(this.arrived, 0, tokens))),
      );
    if (tokens === 1) return (this.forOne ??= build());
    this.forRows?.free();
    this.forRows = build();
    return this.forRows;
  }

  free(): void {
    this.forOne?.free();
    this.forRows?.free();
    this.memory.free();
    this.context.free();
  }
}
