/** What `$ref` of a schema leads to. */
export class References {
  /** Schemas whose references are known to end. */
  readonly #ended = new Set<unknown>();
  readonly #open = new Set<unknown>();

  /** @param root the whole schema */
  constructor(private readonly root: unknown) {}

  /** What a reference such as `#/$defs/a` names; undefined: nothing. */
  target(reference: string): unknown {
    let found = this.root;
    for (const name of reference.split('/').slice(1)) {
      if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined;
      found = (found as Record<string, unknown>)[name];
    }
    return found;
  }

  /** Whether a schema refers to itself before anything of an answer was taken, so that no answer ever fits. */
  isEndless(schema: unknown): boolean {
    if (typeof schema !== 'object' || schema === null || this.#ended.has(schema)) return false;
    if (this.#open.has(schema)) return true;
    this.#open.add(schema);
    const { $ref, anyOf } = schema as Record<string, unknown>;
    const inner = [...(typeof $ref === 'string' ? [this.target($ref)] : []), ...(Array.isArray(anyOf) ? anyOf : [])];
    const isEndless = inner.some((one) => this.isEndless(one));
    this.#open.delete(schema);
    if (!isEndless) this.#ended.add(schema);
    return isEndless;
  }
}
