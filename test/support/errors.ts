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
  return checkedMessage(code, thrown);
}

/** Waits for `promise`, which must reject with a FiddlerError of that code in one line, and gives its message. */
export async function fiddlerRejection(code: ErrorCode, promise: Promise<unknown>): Promise<string> {
  return checkedMessage(
    code,
    await promise.then(
      () => undefined,
      (reason: unknown) => reason,
    ),
  );
}

function checkedMessage(code: ErrorCode, thrown: unknown): string {
  expect(thrown).toBeInstanceOf(FiddlerError);
  const error = thrown as FiddlerError;
  expect(error.code, error.message).toBe(code);
  expect(error.message).not.toContain('\n');
  expect(error.remedy).not.toBe('');
  return error.message;
}
