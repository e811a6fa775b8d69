import { FiddlerError } from '../../errors.js';
import type { Policy } from '../policy.js';
import { fiddlerPolicy } from './fiddler.js';
import { lanesPolicy } from './lanes.js';
import { lruPolicy } from './lru.js';
import { staticPolicy } from './static.js';
import { streamPolicy } from './stream.js';

/** Every policy; the first is the default. */
export const POLICIES: readonly Policy[] = [lanesPolicy, fiddlerPolicy, lruPolicy, streamPolicy, staticPolicy];

/** The policy of that name. @throws FiddlerError `usage` */
export function policyNamed(name: string): Policy {
  const policy = POLICIES.find((p) => p.name === name);
  if (!policy) {
    const known = POLICIES.map((p) => p.name).join(', ');
    throw new FiddlerError('usage', `there is no policy ${name}`, `use one of: ${known}`);
  }
  return policy;
}
