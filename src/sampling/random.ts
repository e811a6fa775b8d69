/**
 * Random numbers that a seed reproduces: xoshiro128** 1.1 (Blackman and Vigna, arXiv 1805.01407), its state filled by
 * splitmix64 as its authors recommend.
 */
export class Random {
  readonly #state: Uint32Array;

  /** @param state four 32-bit words, not all zero */
  constructor(state: readonly [number, number, number, number]) {
    this.#state = Uint32Array.from(state);
  }

  /** @param seed an integer, taken modulo 2⁶⁴ */
  static fromSeed(seed: number): Random {
    const [a, b] = splitmix64(BigInt(seed), 2) as [bigint, bigint];
    const low = (word: bigint) => Number(word & 0xffff_ffffn);
    return new Random([low(a), low(a >> 32n), low(b), low(b >> 32n)]);
  }

  /** The next 32 bits. */
  nextUint32(): number {
    const s = this.#state;
    const result = Math.imul(rotateLeft(Math.imul(s[1]!, 5), 7), 9) >>> 0;
    const shifted = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= shifted;
    s[3] = rotateLeft(s[3]!, 11);
    return result;
  }

  /** Uniform in [0, 1), with all 53 bits of a double. */
  nextDouble(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }
}

/** The first `count` outputs of splitmix64 (Steele, Lea and Flood, OOPSLA 2014, with Stafford's Mix13 constants). */
export function splitmix64(seed: bigint, count: number): bigint[] {
  const words: bigint[] = [];
  let state = BigInt.asUintN(64, seed);
  for (let i = 0; i < count; i++) {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = BigInt.asUintN(64, (state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    words.push(z ^ (z >> 31n));
  }
  return words;
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
