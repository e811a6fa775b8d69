import type { Assignments, Routes } from '../assignments.js';
import type { HostExperts } from '../host-experts.js';
import type { Share } from '../policy.js';
import { type ExpertsSpec, weightsOf } from '../spec.js';
import type { Statistics } from '../statistics.js';
import { copiedAhead, LongCalls, surelyNeeded } from './ahead.js';
import { batchesOf, halving, lastBatch } from './batches.js';
import type { ExpertCompute } from './compute.js';
import type { Member } from './group-order.js';
import type { ExpertGroups, GroupPlace } from './groups.js';
import type { CopiedExpert, Filled, StreamedExpert, StreamSlots } from './slots.js';
import { type Found, STREAM_SLOTS } from './stream-cache.js';

/** Place of what lies in slots among the groups of a call of one token: resident experts have the first. */
const SLOTS_PLACE = 1;

export interface StreamParts {
  layers: readonly ExpertsSpec[];
  host: HostExperts;
  slots: StreamSlots;
  /** Of these slots, those that are the expert cache. */
  cached: number;
  /** On the accelerator. */
  compute: ExpertCompute;
  groups: ExpertGroups;
  /** In a call of one token, the place of the first streamed expert's weight. */
  firstPlace: number;
  assignments: Assignments;
  statistics: Statistics;
  /** Copies run beside computing. */
  overlaps: boolean;
  isResident: (layer: number, expert: number) => boolean;
}

/** The stream lane: experts that are copied to the accelerator when they are needed, or ahead of that, and computed there. */
export class StreamLane {
  private slotsForOne = STREAM_SLOTS;
  private guesses = false;
  /** When the link will be done with what it copies for the next layer, by performance.now(). */
  private linkFree = 0;
  /** Most experts of a layer. */
  private readonly most: number;
  private readonly longCalls: LongCalls;

  constructor(private readonly parts: StreamParts) {
    this.longCalls = new LongCalls(parts.layers);
    this.most = Math.max(...parts.layers.map((l) => l.count));
  }

  /**
   * @param cache calls of one token use the expert cache, if there is one
   * @param guesses of the next layer's experts are copied ahead
   */
  use(cache: boolean, guesses: boolean): void {
    const { cached, layers } = this.parts;
    this.guesses = guesses;
    const ahead = guesses ? Math.max(...layers.map((l) => l.chosen)) : 0;
    this.slotsForOne = STREAM_SLOTS + ahead + (cache ? cached : 0);
  }

  /** Guesses of the next layer's experts are of use. */
  get prefetches(): boolean {
    return this.guesses && this.slotsForOne > STREAM_SLOTS;
  }

  /** A layer of a call of so many tokens begins. @returns milliseconds for which the link is still busy with copies for it */
  begin(tokens: number): number {
    const { slots, overlaps } = this.parts;
    slots.resize(tokens > 1 && overlaps ? slots.count : this.slotsForOne);
    return Math.max(0, this.linkFree - performance.now());
  }

  /** Forgets what was copied; only once nothing is queued. */
  forget(): void {
    this.parts.slots.forget();
    this.linkFree = 0;
  }

  /** A call of so many tokens used these experts of a layer. */
  used(layer: number, experts: readonly { expert: number }[], tokens: number): void {
    this.longCalls.used(layer, experts, tokens);
  }

  /** The whole expert lies in a slot, or is on its way there. */
  has(layer: number, expert: number): boolean {
    return this.parts.slots.has(this.key(layer, expert));
  }

  /** An expert's name in the cache. */
  private key(layer: number, expert: number): number {
    return layer * this.most + expert;
  }

  /**
   * Queues computing what lies in slots, and the first copies: they run while resident experts are computed.
   * @returns queues the rest
   */
  start(layer: number, shares: readonly Share[], tokens: number): () => void {
    return tokens === 1 ? this.startForOne(layer, shares) : this.startForSeveral(layer, shares, tokens);
  }

  /**
   * In a call of one token copies are few, and each begins as soon as it can; what is there, or on its way since before, is
   * computed behind resident experts, which wait for nothing.
   */
  private startForOne(layer: number, shares: readonly Share[]): () => void {
    const { slots, groups } = this.parts;
    const there = shares.filter((share) => this.isGrouped(layer, share, 1));
    const batches = batchesOf(there, groups.tokens).map((batch) => ({ batch, filled: this.fill(layer, batch) }));
    const alone = shares.flatMap((share, order) =>
      there.includes(share) ? [] : [{ share, order, filled: slots.free > 0 ? this.fillOne(layer, share) : undefined }],
    );
    return () => {
      for (const { batch, filled } of batches) this.compute(layer, batch, filled, 1);
      for (const { share, order, filled = this.fillOne(layer, share) } of alone)
        this.finish(layer, share, 1, order, filled);
    };
  }

  private startForSeveral(layer: number, shares: readonly Share[], tokens: number): () => void {
    const { slots, groups, host, layers } = this.parts;
    const grouped = shares.map((share) => this.isGrouped(layer, share, tokens));
    const together = shares.filter((_, i) => grouped[i]);
    const alone = [...shares.keys()].filter((i) => !grouped[i]);
    const there = together.filter(({ cached }) => cached);
    const copied = together.filter(({ cached }) => !cached);
    const compute = (batch: readonly Share[], filled: readonly Filled[]) => this.compute(layer, batch, filled, tokens);
    const arrived = batchesOf(there, groups.tokens).map((batch) => ({ batch, filled: this.fill(layer, batch) }));
    const computeArrived = () => {
      for (const { batch, filled } of arrived) compute(batch, filled);
    };
    const fits = copied.length <= slots.free;
    if (!fits) computeArrived(); // copies wait for their slots
    const last = lastBatch(copied, host.expertBytes(layer), weightsOf(layers[layer]!));
    const batches = batchesOf(copied, groups.tokens, halving(slots.free, last), (e) => host.placeOf(layer, e));
    let filled = batches[0] && this.fill(layer, batches[0]);
    return () => {
      if (fits) computeArrived(); // they may still travel while resident experts are computed
      batches.forEach((batch, i) => {
        const following = batches[i + 1];
        const next = following && this.fill(layer, following);
        compute(batch, filled!);
        filled = next;
      });
      for (const i of alone) this.run(layer, shares[i]!, tokens, i);
    };
  }

  /** Whether it is computed together with others; in a call of one token copies are few, and each begins as soon as it can. */
  isGrouped(layer: number, { range, cached }: Share, tokens: number): boolean {
    if (range || (tokens === 1 && !cached)) return false;
    const place = this.placeOf(layer);
    return place !== undefined && this.parts.groups.computes(place);
  }

  private placeOf(layer: number): GroupPlace | undefined {
    const { slots, layers } = this.parts;
    const found = slots.slabFor(layer);
    return found && { key: found.name, slab: found.slab, activation: layers[layer]!.activation, place: SLOTS_PLACE };
  }

  /** See ExpertGroups. */
  makeRoom(layer: number): void {
    const place = this.placeOf(layer);
    if (place) this.parts.groups.makeRoom(place);
  }

  private fill(layer: number, batch: readonly Share[]): Filled[] {
    const experts = batch.map(({ expert, range, cached }): StreamedExpert => {
      const { key, source, parts } = this.copy(layer, expert);
      return { key, source, parts, range, cached };
    });
    return this.parts.slots.fill(layer, experts);
  }

  private copy(layer: number, expert: number): CopiedExpert {
    const { host } = this.parts;
    return { key: this.key(layer, expert), source: host.expert(layer, expert), parts: host.partsOf(layer, expert) };
  }

  private fillOne(layer: number, share: Share): Filled {
    return this.fill(layer, [share])[0]!;
  }

  private compute(layer: number, batch: readonly Share[], filled: readonly Filled[], tokens: number): void {
    const { slots, layers, groups, compute: each, assignments } = this.parts;
    const members = batch.map(({ expert }, i) => ({ expert, slot: filled[i]!.slot }));
    const [{ expert, slot }] = members as [Member];
    slots.compute(filled, () => {
      if (tokens > 1 && batch.length === 1) {
        const key = `slot ${slots.nameOf(layer, slot)} all`;
        each.forRows(key, filled[0]!.placed, layers[layer]!.activation, { assignments, tokens }, expert);
      } else groups.run(this.placeOf(layer)!, members, assignments, tokens);
    });
    for (const { found } of filled) this.count(found);
  }

  /**
   * Queues an expert's copy, unless it is there, and computing it.
   * @param order of the streamed experts of its layer
   * @param onCopied the copy was queued
   */
  run(layer: number, share: Share, tokens: number, order: number, onCopied: () => void = () => {}): void {
    const filled = this.fillOne(layer, share);
    onCopied();
    this.finish(layer, share, tokens, order, filled);
  }

  /** Queues computing what was copied. */
  private finish(layer: number, { expert, range }: Share, tokens: number, order: number, filled: Filled): void {
    const { slots, layers, compute, firstPlace, assignments } = this.parts;
    const { activation } = layers[layer]!;
    const { slot, placed, found } = filled;
    const name = `slot ${slots.nameOf(layer, slot)}`;
    const rows = range ? `${range.from}-${range.to}` : 'all';
    slots.compute([filled], () => {
      if (tokens === 1) compute.forOne(`${name}.${order} ${rows}`, placed, activation, firstPlace + order);
      else compute.forRows(`${name} ${rows}`, placed, activation, { assignments, tokens }, expert);
    });
    this.count(found);
  }

  private count(found: Found): void {
    const { cache } = this.parts.statistics;
    if (found !== 'copied') cache.hits++;
    if (found === 'prefetched') cache.usefulPrefetches++;
  }

  /** All streamed experts of the layer are queued. */
  settle(): void {
    this.parts.statistics.cache.wastedPrefetches += this.parts.slots.settle();
  }

  /** Starts to copy what the next layer will probably choose, as far as there is room. */
  prefetch(layer: number, experts: Int32Array): void {
    const { host, slots, isResident, statistics } = this.parts;
    for (const expert of experts) {
      if (expert < 0 || isResident(layer, expert)) continue;
      if (slots.prefetch(layer, this.copy(layer, expert))) statistics.add('streamed', 0, host.expertBytes(layer));
    }
  }

  /**
   * Starts to copy what the next layer will need of its experts for this many tokens, as many as this layer streamed.
   * @param copy milliseconds of one
   */
  copyAhead({ layer, tokens }: Routes, streamed: readonly Share[], copy: number): void {
    const { layers, host, slots, overlaps, isResident, statistics } = this.parts;
    this.linkFree = 0;
    const next = layers[layer + 1];
    if (!overlaps || !next) return;
    const copied = (expert: number) => !isResident(layer + 1, expert) && this.longCalls.mostUse(layer + 1, expert);
    const needed = surelyNeeded(next, tokens, statistics.popularity[layer + 1], copied);
    const whole = streamed.filter(({ range }) => !range).length;
    const wanted = copiedAhead(needed, whole, slots.size, (expert) => host.placeOf(layer + 1, expert));
    const copies = wanted.map((expert) => this.copy(layer + 1, expert));
    const count = slots.copyAhead(layer + 1, copies);
    if (count === 0) return;
    statistics.add('streamed', 0, count * host.expertBytes(layer + 1));
    this.linkFree = performance.now() + count * copy;
  }
}
