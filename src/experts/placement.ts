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

/** Spreads `count` resident experts evenly over layers: the first ones of each, since nothing is known of popularity. */
export function spread(count: number, expertsOf: readonly number[]): Placement {
  const resident: number[][] = expertsOf.map(() => []);
  let left = count;
  for (let e = 0; left > 0 && e < Math.max(...expertsOf); e++) {
    for (let layer = 0; layer < expertsOf.length && left > 0; layer++) {
      if (e >= expertsOf[layer]!) continue;
      resident[layer]!.push(e);
      left--;
    }
  }
  return resident;
}
