/** Bytes as people write them: `1.24 GB`, three digits. */
export function bytesText(bytes: number): string {
  const [unit, size] =
    [["GB", 1e9], ["MB", 1e6], ["KB", 1e3]].find(([, size]) => bytes >= Number(size)) ?? ["B", 1];
  return `${+(bytes / Number(size)).toPrecision(3)} ${unit}`;
}
