import { FiddlerError } from '../../errors.js';
import type { Pointer } from './api.js';

/** ggml_status: −2 allocation failed, −1 failed, 0 success, 1 aborted. */
const STATUS: Readonly<Record<string, string>> = { '-2': 'out of memory', '-1': 'failed', '1': 'was aborted' };

/** Throws FiddlerError `device` unless a native call reported success. */
export function checkStatus(status: number, what: string): void {
  if (status !== 0) {
    const remedy = 'choose another --accelerator, or a smaller --gpu-memory or --ctx';
    throw new FiddlerError('device', `${what} ${STATUS[status] ?? `gave status ${status}`}`, remedy);
  }
}

/** Throws FiddlerError `memory` where a native call that allocates gave no object. */
export function checkPointer(pointer: Pointer | null, what: string): Pointer {
  if (!pointer) {
    const remedy = 'free memory there, or use a smaller --gpu-memory or --ctx';
    throw new FiddlerError('memory', `could not allocate ${what}`, remedy);
  }
  return pointer;
}
