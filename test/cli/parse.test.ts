import { InvalidArgumentError } from 'commander';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, integer, integers, number, onOff, several, share, tokens } from '../../src/cli/parse.js';

describe('integer', () => {
  it.each([
    ['0', 0],
    ['42', 42],
    ['007', 7],
  ])('takes %j', (text, value) => expect(integer(0)(text)).toBe(value));

  it.each(['', '-1', '1.5', 'NaN', 'Infinity', '0x10', '1e3', ' 1', '9007199254740993'])('refuses %j', (text) => {
    expect(() => integer(0)(text)).toThrow(InvalidArgumentError);
  });

  it('keeps to its range', () => {
    expect(integer(1, 3)('3')).toBe(3);
    expect(() => integer(1, 3)('0')).toThrow('from 1 to 3');
    expect(() => integer(1, 3)('4')).toThrow('from 1 to 3');
  });
});

describe('number', () => {
  it.each([
    ['0', 0],
    ['0.7', 0.7],
    ['.5', 0.5],
    ['1e-3', 0.001],
    ['2.', 2],
  ])('takes %j', (text, value) => expect(number(0)(text)).toBe(value));

  it.each(['', '-0.1', 'NaN', 'Infinity', '1e999', '0x1', '.', '1,5', 'one'])('refuses %j', (text) => {
    expect(() => number(0)(text)).toThrow(InvalidArgumentError);
  });

  it('keeps to its range', () => {
    expect(number(0, 1)('1')).toBe(1);
    expect(() => number(0, 1)('1.01')).toThrow('at most 1');
    expect(() => number(0, 1, false)('0')).toThrow('above 0');
  });
});

describe('bytes', () => {
  it.each([
    ['24GiB', 24 * 2 ** 30],
    ['8GB', 8e9],
    ['8gb', 8e9],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['500MB', 5e8],
    ['64KiB', 65536],
    ['2TB', 2e12],
    ['1073741824', 2 ** 30],
  ])('takes %j', (text, value) => expect(bytes(text)).toBe(value));

  it.each(['', '0', '-1GB', 'GB', '8G', '8GBs', 'NaNGB', '1.2.3GB', '99999999TB'])('refuses %j', (text) => {
    expect(() => bytes(text)).toThrow(InvalidArgumentError);
  });
});

describe('share', () => {
  it.each([
    ['25%', 0.25],
    ['0%', 0],
    ['100%', 1],
    ['12.5 %', 0.125],
    ['0.25', 0.25],
    ['1', 1],
  ])('takes %j', (text, value) => expect(share(text)).toBe(value));

  it.each(['', '101%', '25', '-1%', 'NaN', '%'])('refuses %j', (text) => {
    expect(() => share(text)).toThrow(InvalidArgumentError);
  });
});

describe('tokens', () => {
  it('takes what it would print', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { minLength: 1 }), fc.constantFrom(',', ', ', ' '), (ids, separator) => {
        expect(tokens(ids.join(separator))).toEqual(ids);
      }),
    );
  });

  it.each(['', ',', '1,,2', '1,-2', '1.5', 'a', '1;2', '99999999999999999999'])('refuses %j', (text) => {
    expect(() => tokens(text)).toThrow(InvalidArgumentError);
  });
});

describe('integers', () => {
  it('takes one or several within the range', () => {
    expect(integers(1, 1024)('1')).toEqual([1]);
    expect(integers(1, 1024)('1,8, 1024')).toEqual([1, 8, 1024]);
  });

  it.each(['', '0', '1,0', '8,1025', '1,,2', '-1', 'a'])('refuses %j', (text) => {
    expect(() => integers(1, 1024)(text)).toThrow('It must be integers from 1 to 1024, separated by commas');
  });
});

describe('several', () => {
  it('collects texts in order, and refuses an empty one', () => {
    expect(several('b', several('a'))).toEqual(['a', 'b']);
    expect(() => several('')).toThrow(InvalidArgumentError);
  });
});

describe('onOff', () => {
  it('takes on and off only', () => {
    expect([onOff('on'), onOff('off')]).toEqual([true, false]);
    expect(() => onOff('yes')).toThrow(InvalidArgumentError);
  });
});
