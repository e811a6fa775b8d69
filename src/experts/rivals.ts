import type { Policy } from './policy.js';
import { median } from './repeat.js';

/** Passes in a row by one policy while it is compared; the first counts for nothing: what the one before queued is not over. */
const TURN = 4;
/** Turns of each, after which the faster is chosen; fewer where one is faster by so much. */
const TURNS = 4;
const CLEARLY = 1.1;
/** The one that was chosen stays unless another is faster by so much: less is chance. */
const FASTER = 1.02;
/** Passes until they are compared again: twice as many each time the same is chosen, up to the last. */
const REST = 128;
const LONGEST_REST = 8192;

/**
 * Chooses between two policies by the time that whole passes of the model take, each over all layers for one token: what lanes
 * take from each other beside what the costs say shows there.
 */
export class Rivals {
  /** Milliseconds of passes by each policy since they were last compared. */
  private times: [number[], number[]] = [[], []];
  private chosen: 0 | 1 = 0;
  private rest = REST;
  /** Passes of this comparison, or of the rest behind it. */
  private passes = 0;
  private comparing = true;
  /** The pass at hand: its latest layer, and when it began. */
  private pass?: { layer: number; begin: number };

  /** @param policies the first is chosen where none is faster */
  constructor(
    private readonly policies: readonly [Policy, Policy],
    private readonly layers: number,
  ) {}

  /** The policy for a layer that begins now: the same for all of a pass. @param now milliseconds */
  of(layer: number, now = performance.now()): Policy {
    if (this.pass?.layer === layer - 1) this.pass.layer = layer;
    else this.pass = { layer, begin: now };
    return this.policies[this.current];
  }

  /** A layer is done. */
  done(layer: number, now = performance.now()): void {
    if (layer !== this.layers - 1) return;
    this.passed(now - this.pass!.begin);
    this.pass = undefined;
  }

  /** Which of the policies serves the pass at hand. */
  private get current(): 0 | 1 {
    if (!this.comparing) return this.chosen;
    return Math.floor(this.passes / TURN) % 2 === 0 ? 0 : 1;
  }

  private passed(ms: number): void {
    if (this.comparing && this.passes % TURN > 0) this.times[this.current].push(ms);
    this.passes++;
    if (this.comparing) this.compare();
    else if (this.passes >= this.rest) this.start(true);
  }

  private compare(): void {
    if (this.passes % (2 * TURN) !== 0) return;
    const { chosen } = this;
    const other = chosen === 0 ? 1 : 0;
    const faster = median(this.times[chosen]) / median(this.times[other]);
    if (this.passes < 2 * TURN * TURNS && faster < CLEARLY && faster > 1 / CLEARLY) return;
    this.chosen = faster > FASTER ? other : chosen;
    this.rest = this.chosen === chosen ? Math.min(LONGEST_REST, 2 * this.rest) : REST;
    this.start(false);
  }

  private start(comparing: boolean): void {
    this.comparing = comparing;
    this.passes = 0;
    this.times = [[], []];
  }
}
