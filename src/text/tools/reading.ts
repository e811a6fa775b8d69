/** Reads a text that is still being written; each `yield` waits for more of it. @throws Malformed */
export type Reading<T = void> = Generator<void, T, void>;

/** What a model wrote is no call. */
export class Malformed extends Error {}
