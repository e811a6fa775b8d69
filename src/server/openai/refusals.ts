import { z } from 'zod';

/** A field of the API that this server cannot honour: it may be there only with a value that asks for nothing. */
export function refused(reason: string, harmless: (value: unknown) => boolean = () => false) {
  return z
    .unknown()
    .refine((value) => value === undefined || value === null || harmless(value), reason)
    .optional();
}
