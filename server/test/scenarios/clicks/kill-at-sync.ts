// Preloaded into processes of the product by tests: kills the api with SIGKILL when it writes to a file, before the next write or after the
// next `fdatasync`, while the file `CARILLON_TEST_KILL_AT_SYNC` contains `before` or `after`.

import { readFileSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

const order = process.env.CARILLON_TEST_KILL_AT_SYNC ?? ''
const isApi = process.argv[1]?.endsWith('bin/api.ts')
const probe = await open(process.execPath, 'r')
const prototype = Object.getPrototypeOf(probe) as FileHandle
await probe.close()
const { datasync, writeFile } = prototype

/** Returns whether this process is to die at this moment. */
function isOrdered(moment: 'before' | 'after'): boolean {
  try {
    if (!isApi || readFileSync(order, 'utf8') !== moment) return false
    rmSync(order)
    return true
  } catch {
    return false
  }
}

async function die(): Promise<never> {
  // responses that do not wait for the write, as they must, are sent meanwhile
  await delay(200)
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}

prototype.writeFile = async function (this: FileHandle, ...args: Parameters<FileHandle['writeFile']>) {
  if (isOrdered('before')) await die()
  await writeFile.apply(this, args)
}
prototype.datasync = async function (this: FileHandle) {
  await datasync.call(this)
  if (isOrdered('after')) await die()
}
