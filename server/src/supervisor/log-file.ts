import { openSync, renameSync, statSync } from 'node:fs'

const maxSize = 20 * 1024 * 1024

/** Opens a log file for appending and returns its descriptor; first renames it to `<name>.1` if it exceeds 20 MB. */
export function openLog(path: string): number {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size > maxSize) renameSync(path, `${path}.1`)
  return openSync(path, 'a', 0o600)
}
