import { type Device, floats, type HostMemory, HostTensors, integers } from '../devices/device.js';
import { type Tensor, TensorContext, Type } from '../native/ggml/tensor.js';
import type { Assignments } from './assignments.js';

/** Token numbers and weights of a call's assignments, on a device. */
export class RoutingInputs {
  private readonly host: HostTensors;
  private readonly context: TensorContext | undefined;
  private readonly hostRows: Tensor;
  private readonly hostWeights: Tensor;
  private readonly rowNumbers: Int32Array;
  private readonly weightValues: Float32Array;
  readonly rows: Tensor;
  readonly weights: Tensor;

  /**
   * @param capacity places for a call's assignments
   * @param places weights that a call of one token may need: one an expert and one a streaming slot
   */
  constructor(
    private readonly device: Device,
    capacity: number,
    places: number,
    hostMemory: HostMemory,
  ) {
    const width = Math.max(capacity, places);
    this.host = new HostTensors(2);
    this.hostRows = this.host.tensor(Type.I32, width);
    this.hostWeights = this.host.tensor(Type.F32, width);
    this.host.allocate(hostMemory);
    this.rowNumbers = integers(this.hostRows);
    this.weightValues = floats(this.hostWeights);
    if (device.unified) {
      this.rows = this.hostRows;
      this.weights = this.hostWeights;
    } else {
      this.context = new TensorContext(2);
      this.rows = this.context.tensor(Type.I32, width);
      this.weights = this.context.tensor(Type.F32, width);
      device.allocate(this.context, 'routing weights');
    }
  }

  /** Sends all assignments of a call of several tokens. */
  send({ rows, weights, end }: Assignments): void {
    this.rowNumbers.set(rows.subarray(0, end));
    this.weightValues.set(weights.subarray(0, end));
    this.write(this.rows, this.hostRows, end);
    this.write(this.weights, this.hostWeights, end);
  }

  /** Sends the weights of a call of one token, each to its place. */
  sendPlaced(placed: readonly (readonly [place: number, weight: number])[]): void {
    let last = 0;
    for (const [place, weight] of placed) {
      this.weightValues[place] = weight;
      last = Math.max(last, place + 1);
    }
    this.write(this.weights, this.hostWeights, last);
  }

  private write(target: Tensor, source: Tensor, count: number): void {
    if (!this.device.unified && count > 0) this.device.compute.write(target, source.address, 0, count * 4);
  }
}
