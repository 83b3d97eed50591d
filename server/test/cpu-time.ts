/** Returns the processor time of this process, in ms, that `work` took; on a busy machine it stays what it is. */
export function cpuMs(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}
