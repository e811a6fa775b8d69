import { FiddlerError } from '../../errors.js';
import type { ReasoningParser } from '../reasoning/format.js';
import type { Constraint } from './grammars.js';
import { SharedMask } from './shared.js';

/** Milliseconds that a mask may take: it takes less than one, unless its thread has no core. */
const DEADLINE = 10_000;

/** The engine thread's side of an answer that is held to a grammar. What a model thinks before is free, unless it is whole. */
export class MaskReader {
  readonly #mask: SharedMask;
  readonly #port: Constraint['port'];
  readonly #parser: ReasoningParser | undefined;
  readonly #ends: ReadonlySet<number>;
  #count = 1;
  readonly #widened: Int32Array;

  constructor({ memory, port, isWhole }: Constraint, parser: ReasoningParser | undefined, ends: ReadonlySet<number>) {
    this.#mask = new SharedMask(memory);
    this.#port = port;
    this.#parser = isWhole ? undefined : parser;
    this.#ends = ends;
    this.#widened = new Int32Array(this.#mask.bits.length);
  }

  /** A bit for each token that may be chosen next; undefined: any may. */
  next(): Int32Array | undefined {
    const { isAnswer, tag } = this.#parser?.next ?? { isAnswer: true };
    if (!isAnswer) return undefined;
    this.#wait();
    if (tag === undefined) return this.#mask.bits;
    this.#widened.set(this.#mask.bits);
    this.#widened[tag >> 5]! |= 1 << (tag & 31);
    return this.#widened;
  }

  /** Whether a token that is chosen now is a part of the answer. */
  covers(token: number): boolean {
    const { isAnswer, tag } = this.#parser?.next ?? { isAnswer: true };
    return isAnswer && token !== tag;
  }

  /** `token` is the next of the answer. @returns whether the answer is whole, where no token would say so */
  take(token: number): boolean {
    this.#port.postMessage(token);
    this.#count++;
    return this.#ends.size === 0 && this.#wait() === 'ended';
  }

  end(): void {
    this.#port.close();
  }

  #wait() {
    const state = this.#mask.wait(this.#count, DEADLINE);
    if (state !== 'failed') return state;
    throw new FiddlerError('internal', 'the grammar engine ended while an answer was held to a form', 'ask again');
  }
}
