import type { RoutedLayer } from '#fiddler/experts/caches/cache.js';
import type { Exchange } from '#fiddler/experts/exchange.js';
import type { ExchangeCosts } from '#fiddler/experts/exchange-costs.js';
import { Rebalancer } from '#fiddler/experts/rebalance.js';

/** The experts that a layer's call chooses, of what is known of the placement. */
export type Choose = (layer: number, resident: ReadonlySet<number>, first: ReadonlySet<number>) => readonly number[];

/** A model whose residency follows use by the engine's code, in made-up time: a call takes what its misses and exchanges take. */
export class ExchangedModel {
  readonly resident: readonly Set<number>[];
  exchanges = 0;
  uses = 0;
  hits = 0;
  /** Milliseconds: since the beginning, and what of them would not have passed with the first placement. */
  time = 0;
  lost = 0;
  private readonly rebalancer: Rebalancer;

  /**
   * @param first by layer, the experts that are resident at first
   * @param base milliseconds of a call in which every expert is resident
   */
  constructor(
    private readonly layers: readonly RoutedLayer[],
    private readonly first: readonly ReadonlySet<number>[],
    private readonly price: ExchangeCosts,
    private readonly base: number,
  ) {
    this.resident = first.map((experts) => new Set(experts));
    const resident = { names: (layer: number) => this.resident[layer]! };
    const exchange = (found: Exchange) => this.exchange(found);
    const model = { layers, resident, exchange, costs: () => price };
    this.rebalancer = new Rebalancer(model, undefined, () => this.time);
  }

  private exchange({ layer, evicted, admitted }: Exchange): void {
    const resident = this.resident[layer]!;
    if (!resident.delete(evicted) || resident.has(admitted)) throw new Error('no resident expert for a missing one');
    resident.add(admitted);
    this.exchanges++;
    this.pass(this.price.exchange);
  }

  private pass(ms: number): void {
    this.time += ms;
    this.lost += ms;
  }

  /** A call of one token. */
  call(choose: Choose): void {
    const { layers, rebalancer, price } = this;
    rebalancer.begins();
    for (const layer of layers.keys()) {
      const [resident, first] = [this.resident[layer]!, this.first[layer]!];
      const experts = choose(layer, resident, first);
      const demand = experts.map((expert) => ({ expert, tokens: 1, resident: resident.has(expert), cached: false }));
      rebalancer.used(layer, demand, 1);
      for (const expert of experts) {
        this.uses++;
        if (resident.has(expert)) this.hits++;
        else this.pass(price.saved);
        if (!first.has(expert)) this.lost -= price.saved;
      }
      this.time += this.base / layers.length;
      rebalancer.follow((layer + layers.length - 1) % layers.length);
    }
    rebalancer.afterCall(1);
  }

  /** @returns hits of a use */
  run(calls: number, choose: Choose): number {
    const { uses, hits } = this;
    for (let i = 0; i < calls; i++) this.call(choose);
    return (this.hits - hits) / (this.uses - uses);
  }

  /** What was resident at first is. */
  get isFirst(): boolean {
    return this.resident.every((all, layer) => [...all].every((expert) => this.first[layer]!.has(expert)));
  }
}
