/** What a conversion says of its result. */
export interface Rows {
  /** Rows of the result, each of which can be made alone. */
  rows: number;
  /** Bytes of one of them. */
  rowBytes: number;
  /** Rows that are best made together. */
  band: number;
  /** Times as long as a copy of them takes; 1 by default. */
  work?: number;
}
