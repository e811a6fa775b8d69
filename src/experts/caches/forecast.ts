import { chooseExchange, exchangesOf } from '../exchange.js';
import { Forecast } from '../forecast.js';
import { spread } from '../placement.js';
import type { CachePolicy, ExpertCache, RoutedLayer, Use } from './cache.js';

/** What the engine does where exchanges pay: behind a call, few experts of each layer that are likelier to be used come. */
export const forecastFew: CachePolicy = {
  name: 'forecast-few',
  summary: 'what is least likely in its layer leaves, few of a layer in a call: the rule of --rebalance',
  create: (slots, uses, layers) => new ForecastCache(slots, uses, layers, exchangesOf),
};

/** The same, as if copying took no time. */
export const forecast: CachePolicy = {
  name: 'forecast',
  summary: 'the same, but as many as are likelier',
  create: (slots, uses, layers) => new ForecastCache(slots, uses, layers, () => Number.POSITIVE_INFINITY),
};

/** Each layer has its own slots. Nothing changes while a call uses a layer, but that empty slots are taken. */
class ForecastCache implements ExpertCache {
  copies = 0;
  private readonly forecast: Forecast;
  private readonly slots: readonly number[];
  private readonly resident: readonly Set<number>[];
  /** By expert: its layer; by layer: its first expert. */
  private readonly layerOf: readonly number[];
  private readonly firsts: readonly number[];
  /** Experts of the layer that the call at hand has used. */
  private used: number[] = [];
  private at = 0;

  constructor(
    slots: number,
    private readonly uses: readonly Use[],
    private readonly layers: readonly RoutedLayer[],
    private readonly most: (chosen: number) => number,
  ) {
    const counts = layers.map(({ count }) => count);
    this.forecast = new Forecast(counts);
    this.slots = spread(slots, counts).map(({ length }) => length);
    this.resident = counts.map(() => new Set());
    this.layerOf = counts.flatMap((count, layer) => new Array<number>(count).fill(layer));
    this.firsts = counts.map((_, layer) => this.layerOf.indexOf(layer));
  }

  has(expert: number): boolean {
    const layer = this.layerOf[expert]!;
    return this.resident[layer]!.has(expert - this.firsts[layer]!);
  }

  use({ expert, time }: Use): boolean {
    const layer = this.layerOf[expert]!;
    const resident = this.resident[layer]!;
    const own = expert - this.firsts[layer]!;
    const hit = resident.has(own);
    if (!hit && resident.size < this.slots[layer]!) this.admit(resident, own);
    this.used.push(own);
    if (this.uses[++this.at]?.time !== time) this.follow(layer);
    return hit;
  }

  /** A call has used a layer. */
  private follow(layer: number): void {
    const resident = this.resident[layer]!;
    this.forecast.used(layer, this.used);
    this.used = [];
    const { count, chosen } = this.layers[layer]!;
    const most = this.most(chosen);
    for (let made = 0; made < most; made++) {
      const found = chooseExchange(layer, count, resident, this.forecast);
      if (!found) return;
      resident.delete(found.evicted);
      this.admit(resident, found.admitted);
    }
  }

  private admit(resident: Set<number>, expert: number): void {
    resident.add(expert);
    this.copies++;
  }
}
