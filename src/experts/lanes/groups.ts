import type { ByNumber } from '../../devices/accelerators.js';
import type { Device, HostMemory } from '../../devices/device.js';
import { KEPT_ROWS } from '../../devices/kept-graphs.js';
import { APART, aligned, SharedWords } from '../../devices/shared-words.js';
import { Graph } from '../../native/ggml/graph.js';
import { blockElements, type Tensor, Type } from '../../native/ggml/tensor.js';
import type { OrderLoops } from '../../native/order-loops.js';
import { type ActivationName, matrixEntries } from '../activations.js';
import type { Assigned, Assignments } from '../assignments.js';
import type { PlacedExpert } from '../expert.js';
import {
  buildAssigned,
  buildGroupForOne,
  buildGroupForSeveral,
  type GroupIo,
  groupCapacity,
  wordsOf,
} from '../group.js';
import { innerJoins, type Slab } from '../resident-experts.js';
import { type ExpertsSpec, type MatrixTypes, matrixShape } from '../spec.js';
import type { BatchTokens } from './batches.js';
import { ExpertGraphs } from './graphs.js';
import { ABREAST, AT_ONCE, GroupOrder, inParts, type Member, MOST_FILLED, WORDS } from './group-order.js';

/** Where the weights of a group lie. */
export interface GroupPlace {
  /** Names the slab, which must be the same at every call. */
  key: string;
  slab: Slab;
  activation: ActivationName;
  /** Groups of one call of one token have different numbers, below {@link PLACES}. */
  place: number;
}

/** Groups of a call of one token. */
const PLACES = 2;
/** So many assignments are found in products whose rows have one each faster than another graph is queued. */
const FEW = 512;
/** So many groups of a call may be added at once, whatever rows of no weight that takes. */
const MOST_AT_ONCE = 16;
/** A group has less than so many times as many parts as its rows would fill. */
export const PARTS = 5;

export interface GroupsParts {
  layers: readonly ExpertsSpec[];
  /** Most tokens of a call. */
  chunk: number;
  input: Tensor;
  output: Tensor;
  hostMemory: HostMemory;
  /** See LanesParts. */
  orderLoops: OrderLoops;
  graphBytes: number;
  /** Products with matrices by number are exact in float32. */
  exact: boolean;
  /** Most rows of assignments of such a product. */
  rows: number;
  /** See {@link ByNumber}. */
  readsBehind: boolean;
}

/** Most rows of assignments with which none of the layers' products waits. @param rows as of {@link ByNumber} */
export function mostRows(
  layers: readonly ExpertsSpec[],
  types: readonly MatrixTypes[],
  rows: ByNumber['rows'],
): number {
  const each = layers.flatMap((spec, l) => {
    const inner = innerJoins(spec, types[l]!) ? 2 : 1; // gate and up may be one matrix
    return matrixEntries(types[l]!).map(([name, type]) => {
      return rows(type, (name === 'down' ? 1 : inner) * matrixShape(spec, name)[0]);
    });
  });
  return Math.min(...each);
}

/**
 * Computes experts that lie in one slab of an accelerator together: one product a matrix, whichever experts they are, by
 * their numbers in the slab. Graphs for calls of one token are kept by slab and number of experts, those for calls of few by
 * slab and how many assignments there are.
 */
export class ExpertGroups {
  /** Of a group. */
  readonly tokens: BatchTokens;
  private readonly io: GroupIo;
  private readonly words: SharedWords;
  /** Most experts of a token. */
  private readonly chosen: number;
  /** Most tokens of a call. */
  private readonly chunk: number;
  private readonly order: GroupOrder;
  private readonly graphs: ExpertGraphs;
  /** Assignments that can be sent for a call. */
  private readonly room: number;
  /** Assignments that were sent for this call. */
  private sent = 0;
  /** Rows of no weight for which there is room beside them, and left. */
  private readonly idleRoom: number;
  private idle = 0;
  private readonly exact: boolean;
  private readonly rows: number;
  private readonly readsBehind: boolean;
  /** Types of matrices and numbers in their rows for which `makeRoom` was done. */
  private readonly roomFor = new Set<string>();
  /** Slabs by name, as the device computes them; undefined where it does not. */
  private readonly computable = new Map<string, Slab | undefined>();

  constructor(
    private readonly device: Device,
    { layers, chunk, input, output, hostMemory, orderLoops, exact, rows, readsBehind, graphBytes }: GroupsParts,
  ) {
    this.exact = exact;
    this.rows = rows;
    this.readsBehind = readsBehind;
    this.chunk = chunk;
    this.graphs = new ExpertGraphs(device);
    this.chosen = Math.max(...layers.map((l) => l.chosen));
    const perRow = Math.max(...layers.map(({ hidden, width }) => 4 * (2 * hidden + 3 * width)));
    const most = Math.min(chunk * this.chosen, Math.max(chunk, Math.floor(graphBytes / perRow)));
    this.tokens = { most, few: Math.min(FEW, rows - 1) };
    const groups = Math.max(PLACES, ...layers.map((l) => l.count));
    const assigned = chunk * this.chosen;
    const divided = groups + Math.ceil((PARTS * (assigned + groups)) / rows);
    const idle = Math.min(AT_ONCE.idle, Math.min(chunk, AT_ONCE.tokens) * Math.min(this.chosen, AT_ONCE.depth));
    this.idleRoom = MOST_AT_ONCE * idle;
    this.room = assigned + this.idleRoom + divided * 2 * APART; // rows are filled up, and lists lie apart
    const count = WORDS * this.room;
    const words = new SharedWords(device, count, 'routing weights', hostMemory);
    this.words = words;
    const [numbers, weights] = [words.tensor(Type.I32, 0, count), words.tensor(Type.F32, 0, count)];
    this.io = { input, output, numbers, weights, fetch: (g, from, count) => words.fetch(g, from, count) };
    this.order = new GroupOrder(words.integers, words.floats, chunk, this.chosen, orderLoops);
  }

  /** Makes room on the device for the largest graph. @param experts of the first layer, for their shapes */
  reserve(expert: PlacedExpert, activation: ActivationName): void {
    const { chosen } = this;
    const count = this.tokens.most + APART;
    const rounds = [{ tokens: Math.ceil((2 * count) / chosen), depth: chosen }];
    const rows = { ids: 0, weights: 0, tokens: 0, order: 0, targets: 0, count, abreast: 1, rounds };
    const tensors = matrixEntries(expert).map(([name, { tensor }]) => [name, tensor]);
    const one: Slab = { ...Object.fromEntries(tensors), biases: expert.biases?.tensor };
    const n = Math.min(this.chunk, AT_ONCE.tokens);
    const columns = Math.min(chosen, AT_ONCE.depth);
    const few = {
      ids: 0,
      weights: 0,
      tokens: 0,
      order: 0,
      count: Math.min(count, n * columns),
      abreast: 1,
      n,
      columns,
    };
    for (const group of [rows, few])
      this.device.reserve(groupCapacity(chosen), (g) => buildGroupForSeveral(g, one, activation, this.io, group));
  }

  /**
   * Has the device take memory for more rows than a product of this slab ever has, where its kernels read what lies behind
   * theirs: 64 rows more, of 512 numbers or more, are a tile of 128 rows of the last 128 numbers.
   */
  makeRoom(place: GroupPlace): void {
    if (!this.readsBehind || this.device.countsOnly) return;
    const slab = this.slabOf(place);
    const abreast = slab && ABREAST.find((n) => n <= slab.down.ne[2]);
    if (!abreast) return;
    const inBlocks = matrixEntries(slab).filter(([, { type }]) => blockElements(type) > 1);
    const name = inBlocks.map(([, { type, ne }]) => `${type} ${ne[0]}`).join();
    if (name === '' || this.roomFor.has(name)) return;
    this.roomFor.add(name);
    const count = aligned(this.tokens.most + 2 * APART);
    const { integers } = this.words;
    for (let i = 0; i < count; i++) integers[i] = i % abreast;
    integers.fill(0, count, 2 * count);
    this.words.send(0, 2 * count);
    this.device.once(groupCapacity(1), (g) => {
      this.io.fetch(g, 0, 2 * count);
      g.compute(buildAssigned(g, slab, place.activation, this.io, { ids: 0, tokens: count, count, abreast }));
    });
  }

  /** Whether the device has the operations that such a slab takes, as exact as its type. */
  computes(place: GroupPlace): boolean {
    return this.slabOf(place) !== undefined;
  }

  /** Gate and up are one matrix where the device takes parts of its products. */
  private slabOf({ key, slab, activation }: GroupPlace): Slab | undefined {
    const known = this.computable.get(key);
    if (known || this.computable.has(key)) return known;
    const lossy = !this.exact && matrixEntries(slab).some(([, { type }]) => type === Type.F32);
    const ways = slab.inner ? [slab, { ...slab, inner: undefined }] : [slab];
    const found = lossy ? undefined : ways.find((way) => this.supports(way, activation));
    this.computable.set(key, found);
    return found;
  }

  private supports(slab: Slab, activation: ActivationName): boolean {
    const graph = new Graph(groupCapacity(1));
    buildGroupForOne(graph, slab, activation, this.io, { ids: 0, weights: 0, count: 1 });
    const answer = this.device.compute.supportsAll(graph);
    graph.free();
    return answer;
  }

  /** A layer's call begins: what was queued for the one before was computed. */
  begin(): void {
    this.graphs.release();
    this.sent = 0;
    this.idle = this.idleRoom;
  }

  /** Queues output += Σ weights · expert(input) over the group's members, at most `most` assignments. */
  run(place: GroupPlace, members: readonly Member[], assignments: Assignments, tokens: number): void {
    const slab = this.slabOf(place)!;
    if (tokens === 1) this.forOne(place, slab, members, assignments);
    else if (tokens <= KEPT_ROWS && this.fits(members, tokens)) this.forFew(place, slab, members, assignments, tokens);
    else this.forRows(slab, place.activation, members, assignments, tokens);
  }

  private forOne(
    { key, activation, place }: GroupPlace,
    slab: Slab,
    members: readonly Member[],
    of: Assignments,
  ): void {
    const count = members.length;
    const ids = 2 * place * aligned(this.chosen);
    const weights = ids + aligned(count);
    members.forEach(({ expert, slot }, i) => {
      this.words.integers[ids + i] = slot;
      this.words.floats[weights + i] = of.weight(expert);
    });
    this.words.send(ids, weights + count);
    this.graphs.runForOne(`${key} ${count}`, groupCapacity(count), (g) =>
      buildGroupForOne(g, slab, activation, this.io, { ids, weights, count }),
    );
  }

  /** Each token may have as many experts as the group has. */
  private fits(members: readonly Member[], tokens: number): boolean {
    return this.sent + aligned(members.length * tokens + MOST_FILLED) <= this.room;
  }

  private forFew(
    { key, activation }: GroupPlace,
    slab: Slab,
    members: readonly Member[],
    of: Assignments,
    n: number,
  ): void {
    const from = this.sent;
    const few = this.order.writeFew(from, members, of, n);
    this.sent += few.size;
    this.words.send(few.ids, few.ids + wordsOf(few));
    const name = `${key} ${from} ${n} ${few.columns} ${few.count} ${few.abreast}`;
    this.graphs.runForRows(name, groupCapacity(few.columns), (g) =>
      buildGroupForSeveral(g, slab, activation, this.io, few),
    );
  }

  private forRows(
    slab: Slab,
    activation: ActivationName,
    group: readonly Member[],
    all: Assignments,
    tokens: number,
  ): void {
    for (const { members, of } of inParts(group, all, this.rows)) this.forPart(slab, activation, members, of, tokens);
  }

  private forPart(
    slab: Slab,
    activation: ActivationName,
    members: readonly Member[],
    of: Assigned,
    tokens: number,
  ): void {
    const group = this.order.write(this.sent, members, of, tokens, this.idle);
    this.sent += group.size;
    this.idle -= group.idle;
    this.words.send(group.ids, group.ids + wordsOf(group));
    this.graphs.run(groupCapacity(this.chosen), (g) => buildGroupForSeveral(g, slab, activation, this.io, group));
  }

  /** All graphs of the device were freed. */
  dropGraphs(): void {
    this.graphs.drop();
  }
}
