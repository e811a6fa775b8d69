import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { HttpError } from './errors.js';

/** Whom a server answers. */
export interface AccessOptions {
  /** The address it listens on. */
  host: string;
  /** Keys, any of which opens it; without any it is open. */
  keys: readonly string[];
  /** Origins of web pages that may use it, such as `https://example.com`; `*` is every one. */
  origins: readonly string[];
}

/** Decides who may ask. */
export class Access {
  readonly #digests: readonly Buffer[];
  readonly #hosts: ReadonlySet<string> | undefined;
  readonly #origins: ReadonlySet<string>;

  constructor({ host, keys, origins }: AccessOptions) {
    this.#digests = keys.map(digest);
    // On other addresses the names of this machine are not known.
    this.#hosts = isLoopback(host) ? new Set([...LOOPBACK, host.toLowerCase()]) : undefined;
    this.#origins = new Set(origins);
  }

  /**
   * Refuses what a page of a stranger sends: by a name that was made to point here (DNS rebinding), or from an origin
   * that nobody allowed.
   * @throws HttpError 403
   */
  checkOrigin({ headers }: IncomingMessage): void {
    const name = hostName(headers.host);
    if (this.#hosts && !(name !== undefined && (this.#hosts.has(name) || name.endsWith('.localhost')))) {
      throw new HttpError(403, 'host_refused', 'the Host header names another machine; ask for localhost');
    }
    const { origin } = headers;
    if (origin === undefined || this.allowsOrigin(origin)) return;
    if (URL.canParse(origin) && new URL(origin).host === headers.host?.toLowerCase()) return;
    throw new HttpError(403, 'origin_refused', 'this origin may not use the server; it can be allowed by --cors');
  }

  allowsOrigin(origin: string): boolean {
    return this.#origins.has('*') || this.#origins.has(origin);
  }

  /** @throws HttpError 401: no key, or a wrong one; comparing takes as long for any */
  checkKey({ headers }: IncomingMessage): void {
    if (this.#digests.length === 0) return;
    const given = /^Bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1] ?? headers['x-api-key'];
    const found = digest(typeof given === 'string' ? given.trim() : '');
    const fits = this.#digests.reduce((any, key) => timingSafeEqual(key, found) || any, false);
    if (fits) return;
    throw new HttpError(401, 'invalid_api_key', 'the API key is missing or wrong; give it as a Bearer token');
  }
}

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]', '::1'];

export function isLoopback(host: string): boolean {
  return LOOPBACK.includes(host.toLowerCase()) || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** A Host header without its port. */
function hostName(header: string | undefined): string | undefined {
  return /^(\[[^\]]*\]|[^:]*)(:\d+)?$/.exec(header ?? '')?.[1]?.toLowerCase();
}

const digest = (key: string) => createHash('sha256').update(key).digest();
