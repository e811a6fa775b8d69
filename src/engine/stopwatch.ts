import type { Report } from '../report.js';

type Times = Pick<Report, 'promptTokens' | 'cachedTokens' | 'generatedTokens' | 'ttft' | 'prefillRate' | 'decodeRate'>;

/** Times one generation; starts when it is made. */
export class Stopwatch {
  generated = 0;
  cachedTokens = 0;
  private readonly begin = performance.now();
  private first = 0;
  private last = 0;

  constructor(private readonly promptTokens: number) {}

  /** A token was chosen. */
  token(): void {
    this.prefilled();
    this.generated++;
    this.last = performance.now();
  }

  /** The prompt was computed. */
  prefilled(): void {
    this.first ||= performance.now();
  }

  /** Seconds and tokens a second. */
  times(): Times {
    const { promptTokens, cachedTokens, generated } = this;
    const prefill = (this.first - this.begin) / 1000;
    const decode = (this.last - this.first) / 1000;
    return {
      promptTokens,
      cachedTokens,
      generatedTokens: generated,
      ttft: Math.max(0, prefill),
      prefillRate: prefill > 0 ? (promptTokens - cachedTokens) / prefill : 0,
      decodeRate: decode > 0 ? (generated - 1) / decode : 0,
    };
  }
}
