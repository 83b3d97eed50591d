import { openSync, renameSync, statSync } from 'node:fs'

const largest = 20 * 1024 * 1024

/** Opens a log to append to, and puts it aside as `<name>.1` first when it has grown over 20 MB. */
export function openLog(path: string): number {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size > largest) renameSync(path, `${path}.1`)
  return openSync(path, 'a', 0o600)
}
