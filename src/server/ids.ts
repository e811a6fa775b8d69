import { randomBytes, randomUUID } from 'node:crypto';

/** An id such as `chatcmpl-…`. */
export const newId = (prefix: string): string => `${prefix}${randomUUID().replaceAll('-', '')}`;

/** An id of a call: nine letters and digits, since templates of Mistral's models take no other. */
export const callId = (): string => randomBytes(8).toString('base64').replaceAll(/\W/g, '0').slice(0, 9);

export const secondsNow = (): number => Math.floor(Date.now() / 1000);
