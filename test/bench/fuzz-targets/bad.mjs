/** Goes wrong in some cases, which it counts. */
export function target() {
  return {
    made: Number(process.argv[5]),
    make() {
      return this.made++;
    },
    read(number) {
      if (number === 10) throw new TypeError('a mistake');
      if (number === 20) for (const end = process.cpuUsage().user + 1.2e6; process.cpuUsage().user < end; );
      if (number === 30) process.abort();
    },
    show: String,
  };
}
