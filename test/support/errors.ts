import { expect } from 'vitest';
import { type ErrorCode, FiddlerError } from '../../src/errors.js';

/** Runs `action`, which must throw a FiddlerError of that code in one line, and gives its message. */
export function fiddlerError(code: ErrorCode, action: () => unknown): string {
  let thrown: unknown;
  try {
    action();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(FiddlerError);
  const error = thrown as FiddlerError;
  expect(error.code, error.message).toBe(code);
  expect(error.message).not.toContain('\n');
  expect(error.remedy).not.toBe('');
  return error.message;
}
