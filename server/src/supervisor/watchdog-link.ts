import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { publicEnv } from '../config/environment.ts'
import { identify, type ProcessId } from './processes.ts'
import type { KillList } from './watchdog.ts'

const script = fileURLToPath(new URL('../bin/watchdog.ts', import.meta.url))

/** The supervisor's end of the pipe to its watchdog; restarts a watchdog that has exited. */
export class WatchdogLink {
  #process: ChildProcess | undefined
  #id: ProcessId | undefined
  #killList: KillList = { roles: [], clusterName: undefined }
  #released = false
  readonly #onChange: () => void

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  get id(): ProcessId | undefined {
    return this.#id
  }

  start() {
    // the list is an argument, too, because the supervisor may be killed before it writes to the pipe
    const watchdog = spawn(process.execPath, [script, JSON.stringify(this.#killList)], {
      env: publicEnv(),
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
    watchdog.stdin?.on('error', () => {}) // the watchdog has exited; the exit handler below starts another
    watchdog.on('error', () => {})
    watchdog.once('exit', () => {
      this.#id = undefined
      if (!this.#released) setTimeout(() => this.#released || this.start(), 100)
    })
    this.#process = watchdog
    this.#id = watchdog.pid === undefined ? undefined : identify(watchdog.pid)
    this.#onChange()
  }

  /** Sets the processes that the watchdog ends when the supervisor has exited. */
  setKillList(killList: KillList) {
    this.#killList = killList
    this.#send()
  }

  #send() {
    this.#process?.stdin?.write(`${JSON.stringify(this.#killList)}\n`)
  }

  /** Ends the watchdog, after the supervisor has stopped all processes. */
  async release(): Promise<void> {
    this.#released = true
    this.#killList = { ...this.#killList, released: true }
    const watchdog = this.#process
    if (!watchdog || watchdog.exitCode !== null || watchdog.signalCode !== null) return
    const exited = new Promise((resolve) => watchdog.once('exit', resolve))
    this.#send()
    watchdog.stdin?.end()
    await exited
  }
}
