import type { ChildProcess } from 'node:child_process'
import { LogFile } from '../system/log-file.ts'

const lastOutputMs = 1_000 // a process that outlives the child may keep its pipe open

/**
 * Writes what a child process prints to a log, line by line. Returns a promise that resolves when the child has exited and its
 * output is written. The log is also correct while the child itself writes to the file.
 */
export function captureOutput(child: ChildProcess, path: string, maxBytes: number): Promise<void> {
  const logs = [child.stdout, child.stderr].map((stream) => {
    const log = new LogFile(path, maxBytes, 0)
    stream?.setEncoding('utf8').on('data', (output: string) => log.append(output))
    return log
  })
  const written = Promise.withResolvers<void>()
  child.once('close', () => written.resolve())
  child.once('error', () => written.resolve())
  child.once('exit', () => setTimeout(written.resolve, lastOutputMs).unref())
  return written.promise.then(() => {
    for (const log of logs) log.close()
  })
}
