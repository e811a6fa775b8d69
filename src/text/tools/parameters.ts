import type { CallSink } from './format.js';
import type { Reading } from './reading.js';
import type { Scanner } from './scanner.js';

/** Writes the JSON object of arguments that come one by one. */
export class Parameters {
  #count = 0;

  constructor(private readonly sink: CallSink) {}

  /**
   * Reads a value up to one of `ends`: a text as it is where the schema, or `isText`, says so; else what it is as JSON.
   */
  *value(
    scanner: Scanner,
    name: string,
    ends: readonly string[],
    isText = this.#isText(name),
  ): Reading<string | undefined> {
    this.#key(name);
    if (!isText) {
      const { text, mark } = yield* scanner.text(...ends);
      this.sink.arguments(asJson(text.trim()));
      return mark;
    }
    this.sink.arguments('"');
    const mark = yield* scanner.until(ends, (text) => this.sink.arguments(JSON.stringify(text).slice(1, -1)));
    this.sink.arguments('"');
    return mark;
  }

  /** A value that is JSON already. */
  json(name: string, value: string): void {
    this.#key(name);
    this.sink.arguments(value);
  }

  end(): void {
    this.sink.arguments(this.#count === 0 ? '{}' : '}');
  }

  #key(name: string): void {
    this.sink.arguments(`${this.#count++ === 0 ? '{' : ', '}${JSON.stringify(name)}: `);
  }

  /** Where a schema allows more than texts, what is no JSON is a text all the same. */
  #isText(name: string): boolean {
    return this.sink.schema(name)?.type === 'string';
  }
}

const PYTHON: ReadonlyMap<string, string> = new Map([
  ['True', 'true'],
  ['False', 'false'],
  ['None', 'null'],
]);

function asJson(text: string): string {
  try {
    JSON.parse(text);
    return text;
  } catch {
    return PYTHON.get(text) ?? JSON.stringify(text);
  }
}
