import { InvalidArgumentError } from 'commander';
import { QUANTIZATIONS, QUANTIZED_TYPES } from '../options.js';

/**
 * Values of command-line options, for commander: each parser takes the text and gives the value.
 * @throws InvalidArgumentError naming what would be right
 */
type Parser<T> = (text: string) => T;

/** Multipliers to bytes: GB is 10⁹, GiB 2³⁰. */
const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** A decimal number without sign; `Number` alone would take '', '0x10' and 'Infinity'. */
const DECIMAL = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** An integer within [min, max]. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Parser<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`It must be an integer ${range}.`);
    return value;
  };
}

/** Integers within [min, max], as '1,8,32' or '1 8 32'. */
export function integers(min: number, max = Number.MAX_SAFE_INTEGER): Parser<number[]> {
  const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
  return (text) => {
    const values = listed(text);
    if (!values?.every((value) => value >= min && value <= max))
      throw new InvalidArgumentError(`It must be integers ${range}, separated by commas, such as 1,8,32.`);
    return values;
  };
}

/** Integers without signs between commas or spaces; undefined where the text is something else. */
function listed(text: string): number[] | undefined {
  const parts = text.trim().split(/\s*,\s*|\s+/);
  return parts.every((part) => /^\d+$/.test(part) && Number.isSafeInteger(Number(part)))
    ? parts.map(Number)
    : undefined;
}

/** A number within [min, max], `min` itself only where `inclusive`. */
export function number(min: number, max = Number.MAX_VALUE, inclusive = true): Parser<number> {
  const upper = max === Number.MAX_VALUE ? '' : `, at most ${max}`;
  return (text) => {
    const value = DECIMAL.test(min < 0 ? text.replace(/^-/, '') : text) ? Number(text) : Number.NaN;
    if (!(value <= max && (inclusive ? value >= min : value > min)))
      throw new InvalidArgumentError(`It must be a number ${inclusive ? 'of at least' : 'above'} ${min}${upper}.`);
    return value;
  };
}

/** Bytes, as '24GiB', '8GB', '500 MB' or '1073741824'. */
export const bytes: Parser<number> = (text) => {
  const [, amount = '', unit = 'b'] = /^([\d.]+)\s*([a-z]+)?$/i.exec(text.trim()) ?? [];
  const value = DECIMAL.test(amount)
    ? Math.round(Number(amount) * (UNITS[unit.toLowerCase()] ?? Number.NaN))
    : Number.NaN;
  if (!(value >= 1 && value <= Number.MAX_SAFE_INTEGER))
    throw new InvalidArgumentError('It must be a size such as 24GiB (2^30 bytes each), 8GB (10^9) or 500MB.');
  return value;
};

/** Seconds, as '30s', '5m' or '30'. */
export const seconds: Parser<number> = (text) => {
  const [, amount = '', unit = 's'] = /^([\d.]+)\s*(s|m)?$/.exec(text.trim()) ?? [];
  const value = DECIMAL.test(amount) ? Number(amount) * (unit === 'm' ? 60 : 1) : Number.NaN;
  if (!(value >= 0 && value <= 86_400)) throw new InvalidArgumentError('It must be a time such as 30s or 5m.');
  return value;
};

/** A share of a whole, as '25%' or '0.25', as a number from 0 to 1. */
export const share: Parser<number> = (text) => {
  const [, amount = '', percent] = /^([\d.]+)\s*(%)?$/.exec(text.trim()) ?? [];
  const value = DECIMAL.test(amount) ? Number(amount) / (percent ? 100 : 1) : Number.NaN;
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError('It must be a share from 0% to 100%, such as 25%.');
  return value;
};

/** Whether something is switched on, as 'on' or 'off'. */
export const onOff: Parser<boolean> = (text) => {
  if (text !== 'on' && text !== 'off') throw new InvalidArgumentError('It must be on or off.');
  return text === 'on';
};

/** What is quantized to which type, as 'q4_k' or 'q4_k:all'. */
export const quantization: Parser<(typeof QUANTIZATIONS)[number]> = (text) => {
  const known = QUANTIZATIONS.find((of) => of === text.toLowerCase());
  if (known) return known;
  throw new InvalidArgumentError(`It must be one of ${QUANTIZED_TYPES.join(', ')}, or one of these with :all.`);
};

/** Token ids, as '1,17,42' or '1 17 42'. */
export const tokens: Parser<number[]> = (text) => {
  const ids = listed(text);
  if (!ids) throw new InvalidArgumentError('It must be token ids separated by commas, such as 1,17,42.');
  return ids;
};

/** One more of an option that may be given several times. */
export function several(text: string, before: readonly string[] = []): string[] {
  if (text === '') throw new InvalidArgumentError('It must not be empty.');
  return [...before, text];
}
