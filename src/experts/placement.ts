/** Which experts of each layer are resident: `resident[layer]` lists them. */
export type Placement = readonly (readonly number[])[];

/** Resident experts of all layers. */
export function residentTotal(placement: Placement): number {
  return placement.reduce((sum, experts) => sum + experts.length, 0);
}

/** How many experts fit: those that the budget holds beside `fixed` bytes, or the asked share of all. */
export function residentCount(budget: number, fixed: number, expertBytes: number, total: number): number {
  return Math.max(0, Math.min(total, Math.floor((budget - fixed) / expertBytes)));
}

/** The largest count, up to `total`, of which `bytes` fit into `room`; these grow with the count. */
export function mostThatFit(room: number, total: number, bytes: (count: number) => number): number {
  let [fits, tooMany] = [0, total + 1];
  while (tooMany - fits > 1) {
    const count = Math.floor((fits + tooMany) / 2);
    if (bytes(count) <= room) fits = count;
    else tooMany = count;
  }
  return fits;
}

/** The most popular of all experts, where it is known how often each was chosen; else spread over layers. */
export function placement(count: number, layers: readonly { count: number }[], counts?: Counts): Placement {
  const expertsOf = layers.map((layer) => layer.count);
  return counts ? popular(count, expertsOf, counts) : spread(count, expertsOf);
}

/** How often each expert was chosen, by layer [layers, experts]. */
export type Counts = readonly ArrayLike<number>[];

/** Spreads `count` resident experts evenly over layers, the first ones of each: where nothing is known of popularity. */
export function spread(count: number, expertsOf: readonly number[]): Placement {
  return firsts(count, expertsOf, inTurn(expertsOf));
}

/**
 * Makes the `count` most popular experts of all layers resident: every layer routes every token, so that counts of
 * different layers compare. Those that are equally popular are spread.
 */
export function popular(count: number, expertsOf: readonly number[], counts: Counts): Placement {
  const of = ([layer, expert]: Place) => counts[layer]![expert]!;
  return firsts(
    count,
    expertsOf,
    inTurn(expertsOf).sort((a, b) => of(b) - of(a)),
  );
}

/** The `count` least popular experts: the placement that hits least. */
export function unpopular(count: number, expertsOf: readonly number[], counts: Counts): Placement {
  return popular(
    count,
    expertsOf,
    counts.map((layer) => Array.from(layer, (n) => -n)),
  );
}

/** Share of all that was routed whose expert is resident, 0 to 1; 0 where nothing was. */
export function hitRate(placement: Placement, counts: Counts): number {
  const sum = (layer: ArrayLike<number>) => Array.from(layer).reduce((a, b) => a + b, 0);
  const all = counts.reduce((total, layer) => total + sum(layer), 0);
  const hits = placement.reduce((total, experts, layer) => total + sum(experts.map((e) => counts[layer]![e]!)), 0);
  return all === 0 ? 0 : hits / all;
}

type Place = readonly [layer: number, expert: number];

/** The first expert of every layer, then the second of every layer, and so on. */
function inTurn(expertsOf: readonly number[]): Place[] {
  const places: Place[] = [];
  for (let e = 0; e < Math.max(0, ...expertsOf); e++) {
    expertsOf.forEach((experts, layer) => {
      if (e < experts) places.push([layer, e]);
    });
  }
  return places;
}

function firsts(count: number, expertsOf: readonly number[], places: readonly Place[]): Placement {
  const resident: number[][] = expertsOf.map(() => []);
  for (const [layer, expert] of places.slice(0, count)) resident[layer]!.push(expert);
  return resident;
}
