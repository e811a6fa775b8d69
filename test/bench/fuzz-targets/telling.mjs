/** Tells each input. */
export function target() {
  return {
    make: (chance) => chance.below(2 ** 40),
    read(input) {
      throw new Error(`input ${input}`);
    },
    show: String,
  };
}
