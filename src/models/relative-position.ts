export interface RelativeBuckets {
  count: number;
  /** Distances from here on share a bucket. */
  maxDistance: number;
  /** Half of the buckets are for tokens after the one that looks. */
  bidirectional: boolean;
}

/**
 * The bucket of a token that lies `distance` after the one that looks at it (T5, arXiv 1910.10683, section 2.1): one for
 * each short distance, then logarithmically wider ones. In float32 as transformers, models/t5, so that limits agree.
 */
export function relativeBucket(distance: number, { count, maxDistance, bidirectional }: RelativeBuckets): number {
  const buckets = bidirectional ? count / 2 : count;
  const first = bidirectional && distance > 0 ? buckets : 0;
  const apart = bidirectional ? Math.abs(distance) : Math.max(0, -distance);
  const exact = Math.floor(buckets / 2);
  if (apart < exact) return first + apart;
  const octaves = Math.fround(Math.log(Math.fround(apart / exact)));
  const share = Math.fround(octaves / Math.fround(Math.log(maxDistance / exact)));
  const wider = Math.trunc(Math.fround(share * (buckets - exact)));
  return first + Math.min(exact + wider, buckets - 1);
}
