import type { Expected, Report } from '../report.js';
import { predictDecode } from './prediction.js';
import type { Rates } from './rates.js';
import { expect, scenarioOf } from './scenario.js';

/** As many times the predicted rate, over at least so many tokens, disprove a prediction. */
const DISPROVED = 1.5;
const LEAST_TOKENS = 16;

type Generated = Pick<Report, 'promptTokens' | 'cachedTokens' | 'generatedTokens' | 'decodeRate'>;

/** What a plan says of a loaded model's calls, and whether the model's speed disproves it. */
export class Expectation {
  private fastest?: Generated;
  private answers = 0;

  /**
   * @param rates what the model's pieces take here, where that is known
   * @param disproved told once the model turns out much faster
   */
  constructor(
    private readonly layout: Parameters<typeof scenarioOf>[0],
    private readonly rates?: Rates,
    private readonly disproved?: () => void,
  ) {}

  /**
   * What a prompt of `prompt` tokens, and decoding behind `past`, should take; undefined where rates are not known.
   * @param fresh before the first answer
   */
  of(prompt: number, past: number, fresh = false): Expected | undefined {
    return this.rates && expect(scenarioOf(this.layout, this.rates, fresh), prompt, past);
  }

  /** Tokens a second, in sum, of so many sequences that decode at once behind `past` tokens each, where rates are known. */
  together(sequences: number, past: number): number | undefined {
    if (!this.rates) return undefined;
    return (1000 * sequences) / predictDecode(scenarioOf(this.layout, this.rates, false), past, sequences).ms;
  }

  /** As `of`, for the generation that was noted last; this takes some milliseconds, of large models tens. */
  ofGeneration({ promptTokens, cachedTokens, generatedTokens }: Generated): Expected | undefined {
    return this.of(promptTokens - cachedTokens, promptTokens + (generatedTokens >> 1), this.answers < 2);
  }

  /** A generation was as fast as this. */
  note(generated: Generated): void {
    this.answers++;
    const { generatedTokens, decodeRate } = generated;
    if (generatedTokens >= LEAST_TOKENS && decodeRate > (this.fastest?.decodeRate ?? 0)) this.fastest = generated;
  }

  /**
   * Compares the fastest generation with what was expected of it. Slower may be what else the machine does; so much
   * faster means that it was busy when the rates were measured.
   */
  conclude(): void {
    const expected = this.fastest && this.ofGeneration(this.fastest);
    if (expected && this.fastest!.decodeRate > DISPROVED * expected.decodeRate.value) this.disproved?.();
  }
}
