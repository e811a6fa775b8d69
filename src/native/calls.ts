/** C functions by our names. They are looked up at each call, so that a test can put others in their places. */
// biome-ignore lint/suspicious/noExplicitAny: koffi checks arguments at run time from the C declaration
export type Calls<Name extends string = string> = Record<Name, (...args: any[]) => any>;

/** Functions that were bound together, and the C declaration of each: its type says how a call can fail. */
export interface CallTable {
  readonly declarations: Readonly<Record<string, string>>;
  readonly calls: Calls;
}

const tables: CallTable[] = [];

/** Binds C functions: the one way to native code. */
export function bind<Name extends string>(
  declarations: Readonly<Record<Name, string>>,
  find: (declaration: string) => Calls[string],
): Calls<Name> {
  const entries = Object.entries<string>(declarations).map(([name, declaration]) => [name, find(declaration)]);
  const calls: Calls<Name> = Object.fromEntries(entries);
  tables.push({ declarations, calls });
  return calls;
}

/** All that was bound so far on this thread. */
export function boundCalls(): readonly CallTable[] {
  return tables;
}
