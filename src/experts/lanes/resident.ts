import type { Backend } from '../../native/ggml/backend.js';
import type { Assignments } from '../assignments.js';
import type { Share } from '../policy.js';
import type { ResidentExperts } from '../resident-experts.js';
import type { ExpertsSpec } from '../spec.js';
import { batchesOf } from './batches.js';
import type { Coming } from './coming.js';
import type { ExpertCompute } from './compute.js';
import type { ExpertGroups, GroupPlace } from './groups.js';

export interface ResidentParts {
  layers: readonly ExpertsSpec[];
  /** Where they are computed. */
  stream: Backend;
  /** One by one, and together where there is an accelerator. */
  compute: ExpertCompute;
  groups?: ExpertGroups;
  assignments: Assignments;
  coming: Coming;
}

/** The resident lane: experts that are on the accelerator, computed there. */
export class ResidentLane {
  /** Set once it is known how much room there is for them. */
  experts!: ResidentExperts;

  constructor(private readonly parts: ResidentParts) {}

  /** They are computed together in a layer. */
  isGrouped(layer: number): boolean {
    return this.parts.groups?.computes(this.placeOf(layer)) === true;
  }

  private placeOf(layer: number): GroupPlace {
    const { activation } = this.parts.layers[layer]!;
    return { key: `${layer}`, slab: this.experts.slabOf(layer), activation, place: 0 };
  }

  /** See ExpertGroups. */
  makeRoom(layer: number): void {
    if (this.experts.of(layer).length === 0) return;
    this.parts.groups?.makeRoom(this.placeOf(layer));
  }

  /** Queues computing them. */
  run(layer: number, shares: readonly Share[], tokens: number): void {
    if (shares.length === 0) return;
    if (!this.isGrouped(layer)) {
      for (const share of shares) this.runOne(layer, share, tokens);
      return;
    }
    const { groups, assignments } = this.parts;
    this.await(layer);
    const place = this.placeOf(layer);
    const batches = tokens === 1 && shares.length <= groups!.tokens.most ? [shares] : batchesOf(shares, groups!.tokens);
    for (const batch of batches) {
      if (tokens > 1 && batch.length === 1) {
        this.runOne(layer, batch[0]!, tokens);
        continue;
      }
      const members = batch.map(({ expert }) => ({ expert, slot: this.experts.slotOf(layer, expert) }));
      groups!.run(place, members, assignments, tokens);
    }
  }

  /** Queues computing one by itself. */
  runOne(layer: number, share: Share, tokens: number): void {
    const { layers, compute, assignments } = this.parts;
    this.await(layer);
    const placed = this.experts.expert(layer, share.expert);
    compute.run(layer, share, placed, layers[layer]!.activation, { assignments, tokens });
  }

  /** What is queued from now on waits for the layer's experts that are on their way. */
  private await(layer: number): void {
    this.parts.coming.awaitOn(this.parts.stream, layer);
  }
}
