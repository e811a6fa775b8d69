import type { Chance } from './chance.js';

/** Something that reads what strangers wrote. */
export interface Target<T> {
  /** An input: something that is right, changed at random. */
  make(chance: Chance): T;
  /** Reads it as the program does. A FiddlerError is an answer; whatever else it throws is a finding. */
  read(input: T): unknown;
  /** What a finding is written down as. */
  show(input: T): string | Uint8Array;
  /** Ends what was started for all inputs. */
  close?(): void;
}

/** Makes a target; what it writes goes into `folder`, which is its own. */
export type MakeTarget = (folder: string) => Target<unknown>;
