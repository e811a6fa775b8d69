const UNITS: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30 };

/** Bytes of a size as messages name it, such as `12MiB`. */
export function parseBytes(text: string): number {
  const [, number, unit] = text.match(/^([\d.]+) ?(MiB|GiB)/) ?? [];
  if (!unit) throw new Error(`${text} is no size`);
  return Number(number) * UNITS[unit]!;
}
