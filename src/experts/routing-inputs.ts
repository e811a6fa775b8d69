import type { Device, HostMemory } from '../devices/device.js';
import { aligned, SharedWords } from '../devices/shared-words.js';
import type { Graph } from '../native/ggml/graph.js';
import { type Tensor, Type } from '../native/ggml/tensor.js';
import type { Assignments } from './assignments.js';

/** Token numbers and weights of a call's assignments, on a device. */
export class RoutingInputs {
  readonly rows: Tensor;
  readonly weights: Tensor;
  private readonly words: SharedWords;
  /** Words of each list. */
  private readonly width: number;

  /**
   * @param capacity places for a call's assignments
   * @param places weights that a call of one token may need: one an expert and one a streaming slot
   */
  constructor(device: Device, capacity: number, places: number, hostMemory: HostMemory) {
    this.width = aligned(Math.max(capacity, places));
    this.words = new SharedWords(device, 2 * this.width, 'routing weights', hostMemory);
    this.rows = this.words.tensor(Type.I32, 0, this.width);
    this.weights = this.words.tensor(Type.F32, this.width, this.width);
  }

  /** Sends all assignments of a call of several tokens. */
  send({ rows, weights, end }: Assignments): void {
    this.words.integers.set(rows.subarray(0, end));
    this.words.floats.set(weights.subarray(0, end), this.width);
    this.words.send(0, end);
    this.words.send(this.width, this.width + end);
  }

  /** Sends the weights of a call of one token, each to its place. */
  sendPlaced(placed: readonly (readonly [place: number, weight: number])[]): void {
    let last = 0;
    for (const [place, weight] of placed) {
      this.words.floats[this.width + place] = weight;
      last = Math.max(last, place + 1);
    }
    this.words.send(this.width, this.width + last);
  }

  /** First of all in a graph that reads both lists from `start` on. */
  readonly fetch = (g: Graph, start: number, count: number): void => {
    this.words.fetch(g, start, count, this.width);
  };
}
