import type { Chance } from './chance.js';

/** What JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Numbers at which sizes and sums go wrong. */
const NUMBERS = [
  ...[0, 1, 2, 3, 7, 8, 31, 63, 64, 65, 127, 128, 255, 256, 1000, 4096, 65_535, 65_536, 3_000_000],
  ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 63, 2 ** 64, 1e19, 1e300, 1e308],
  ...[-1, -2, -64, -(2 ** 31), -(2 ** 53), -1e300, 0.5, 0.1, -0.5, 1e-7, 1e-300, 5e-324],
];

const TEXTS = [
  '',
  ' ',
  'a',
  '0',
  '-1',
  'null',
  '__proto__',
  'constructor',
  'toString',
  '../x',
  '/',
  '\0',
  '\n',
  '\ud800',
  'é',
];

function odd(chance: Chance): Json {
  const kind = chance.below(10);
  if (kind < 4) return chance.of(NUMBERS);
  if (kind < 6) return chance.of(TEXTS);
  if (kind === 6) return chance.of<Json>([null, true, false]);
  if (kind === 7) return chance.happens(0.5) ? [] : {};
  if (kind === 8) return 'x'.repeat(10 ** chance.below(6));
  return nested(10 ** (1 + chance.below(2)), chance.happens(0.5));
}

function nested(depth: number, list: boolean): Json {
  let value: Json = 1;
  for (let i = 0; i < depth; i++) value = list ? [value] : { a: value };
  return value;
}

/** A place in a value: what holds it, and where there. */
interface Place {
  holder: Json[] | { [key: string]: Json };
  key: string;
}

function places(value: Json): Place[] {
  const found: Place[] = [];
  const waiting: Json[] = [value];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (typeof at !== 'object' || at === null) continue;
    for (const [key, inner] of Object.entries(at)) {
      found.push({ holder: at, key });
      waiting.push(inner);
    }
  }
  return found;
}

/** A copy of a value, changed in a few places. @param others values of which parts are put in */
export function mutateJson(value: Json, chance: Chance, others: readonly Json[] = []): Json {
  if (chance.happens(0.01)) return odd(chance);
  const root: Json = structuredClone(value);
  for (let left = chance.few(); left > 0; left--) {
    const all = places(root);
    if (all.length === 0) return odd(chance);
    change(chance.of(all), chance, all, others);
  }
  return root;
}

function change({ holder, key }: Place, chance: Chance, all: readonly Place[], others: readonly Json[]): void {
  const set = (name: string, value: Json) => {
    if (Array.isArray(holder)) holder[Number(name)] = value;
    // '__proto__' as a plain key, as JSON.parse makes it
    else Object.defineProperty(holder, name, { value, enumerable: true, configurable: true, writable: true });
  };
  const valueAt = (place: Place) => structuredClone((place.holder as { [key: string]: Json })[place.key]!);
  const here = valueAt({ holder, key });
  const kind = chance.below(8);
  if (kind === 0 && Array.isArray(holder)) holder.splice(Number(key), 1);
  else if (kind === 0) delete (holder as { [key: string]: Json })[key];
  else if (kind === 1) set(key, valueAt(chance.of(all)));
  else if (kind === 2) {
    const other = others.length > 0 ? places(chance.of(others)) : all;
    const same = other.filter((place) => place.key === key);
    set(key, valueAt(chance.of(same.length > 0 ? same : all)));
  } else if (kind === 3 && Array.isArray(holder)) holder.push(...structuredClone(holder.slice(0, chance.few())));
  else if (kind === 3) set(chance.happens(0.5) ? chance.of(TEXTS) : chance.of(all).key, here);
  else if (kind === 4 && typeof here === 'number') {
    set(key, chance.of([here + 1, here - 1, -here, here * 2, here / 2, here * 1e6]));
  } else if (kind === 4 && typeof here === 'string') set(key, mutateText(here, chance));
  else set(key, odd(chance));
}

/** A text, changed in a few places. @param others texts of which parts are put in */
export function mutateText(text: string, chance: Chance, others: readonly string[] = TEXTS): string {
  let changed = text;
  for (let left = chance.few(); left > 0; left--) {
    const from = chance.below(changed.length + 1);
    const to = Math.min(changed.length, from + chance.few());
    const other = chance.of(others);
    const begin = chance.below(other.length + 1);
    const part = chance.of([
      '',
      changed.slice(from, to).repeat(2),
      other.slice(begin, begin + chance.few() * 8),
      String.fromCharCode(chance.below(chance.happens(0.8) ? 128 : 65_536)),
    ]);
    changed = changed.slice(0, from) + part + changed.slice(to);
  }
  return changed;
}

/** Bytes, changed in a few places. */
export function mutateBytes(bytes: Uint8Array, chance: Chance): Uint8Array {
  let changed = Buffer.from(bytes);
  for (let left = chance.few(); left > 0; left--) {
    const at = chance.below(changed.length);
    const end = Math.min(changed.length, at + chance.few());
    const kind = chance.below(6);
    if (changed.length === 0 || kind === 0) changed = Buffer.concat([changed.subarray(0, at), changed.subarray(end)]);
    else if (kind === 1) changed = Buffer.concat([changed.subarray(0, end), changed.subarray(at)]);
    else if (kind === 2) changed = changed.subarray(0, at);
    else if (kind === 3 && at + 8 <= changed.length) changed.writeBigUInt64LE(oddInteger(chance), at);
    else if (kind === 4) changed[at] = chance.below(256);
    else changed[at]! ^= 1 << chance.below(8);
  }
  return changed;
}

function oddInteger(chance: Chance): bigint {
  const number = chance.of(NUMBERS.filter((n) => Number.isInteger(n) && Math.abs(n) < 2 ** 64));
  return BigInt.asUintN(64, BigInt(number));
}

/** A value as JSON, now and then with damaged bytes, or deeper than a stack. */
export function writeJson(value: Json, chance: Chance): Uint8Array {
  const text = JSON.stringify(value);
  if (chance.happens(0.05)) return mutateBytes(Buffer.from(text), chance);
  if (!chance.happens(0.005)) return Buffer.from(text);
  const depth = 10 ** (3 + chance.below(3));
  return Buffer.from(
    `{"${chance.of(TEXTS.slice(0, 9))}":${'['.repeat(depth)}${text}${']'.repeat(depth)}${text.replace('{', ',')}`,
  );
}
