import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, readFileSync } from 'node:fs'
import { OperatorError } from '../errors.ts'
import { openLog } from './log-file.ts'
import { identify, killGroup, type ProcessId, signal, waitUntilGone } from './processes.ts'

const firstDelayMs = 100
const longestDelayMs = 5_000
const steadyMs = 30_000 // up for this long, and the next death starts with the first delay again
const firstStartAttempts = 3
const firstStartMs = 60_000

/** What a role says when it works: its ports, for instance. */
export type Ready = Readonly<Record<string, unknown>>

export type ChildOptions = {
  name: string
  script: string
  logFile: string
  /** Asked anew for each start, so that a restarted role can be told what the first one found. */
  env: () => NodeJS.ProcessEnv
  /** A line for the terminal and the supervisor's log. */
  report: (line: string) => void
  /** Called whenever a process came or went. */
  onChange: () => void
}

/** One role as a child process, started again with back-off when it dies, until it is stopped. */
export class Child {
  readonly name: string
  readonly #options: ChildOptions
  #process: ChildProcess | undefined
  #id: ProcessId | undefined
  #startedAt = 0
  #delayMs = firstDelayMs
  #attempts = 0
  #everReady = false
  #stopping = false
  #timer: NodeJS.Timeout | undefined
  readonly #ready = Promise.withResolvers<Ready>()

  constructor(options: ChildOptions) {
    this.name = options.name
    this.#options = options
    this.#ready.promise.catch(() => {}) // whoever waits for it hears of it
  }

  /** The running process, if there is one. */
  get id(): ProcessId | undefined {
    return this.#id
  }

  /** Starts the role and returns what it said when it was ready; gives up when it cannot even start. */
  start(): Promise<Ready> {
    if (!this.#stopping) this.#spawn()
    const late = setTimeout(() => this.#ready.reject(this.#failure('says nothing')), firstStartMs)
    this.#ready.promise.finally(() => clearTimeout(late)).catch(() => {})
    return this.#ready.promise
  }

  #spawn() {
    const { script, logFile, env } = this.#options
    const output = openLog(logFile)
    this.#attempts++
    this.#startedAt = performance.now()
    const child = spawn(process.execPath, [script], {
      env: env(),
      stdio: ['ignore', output, output, 'ipc'],
      detached: true, // a group of its own: a terminal's Ctrl-C reaches the supervisor only
    })
    closeSync(output)
    this.#process = child
    this.#id = child.pid === undefined ? undefined : identify(child.pid)
    this.#options.onChange()
    child.on('message', (message) => this.#hear(message))
    child.once('exit', (code, by) => this.#onExit(by ?? `code ${code}`))
    child.on('error', (e) => {
      if (child.pid === undefined) this.#onExit(e.message)
    })
  }

  #hear(message: unknown) {
    if (typeof message !== 'object' || message === null || !('type' in message) || message.type !== 'ready') return
    const again = this.#everReady
    this.#everReady = true
    this.#ready.resolve(message as Ready)
    if (again) this.#options.report(`${this.name} is back`)
  }

  #onExit(how: string) {
    // whatever the role itself had started ends with it
    if (this.#id) killGroup(this.#id.pid)
    this.#process = undefined
    this.#id = undefined
    this.#options.onChange()
    if (this.#stopping) return
    if (!this.#everReady && this.#attempts >= firstStartAttempts) {
      this.#ready.reject(this.#failure(how))
      return
    }
    if (performance.now() - this.#startedAt > steadyMs) this.#delayMs = firstDelayMs
    this.#options.report(`${this.name} ended (${how}); starting it again in ${this.#delayMs / 1_000} s`)
    this.#timer = setTimeout(() => this.#spawn(), this.#delayMs)
    this.#delayMs = Math.min(this.#delayMs * 2, longestDelayMs)
  }

  #failure(how: string): OperatorError {
    const lines = readFileSync(this.#options.logFile, 'utf8').trimEnd().split('\n').slice(-5)
    const tail = lines.map((line) => `\n  ${line.slice(0, 500)}`).join('')
    return new OperatorError(`${this.name} does not start (${how}; see ${this.#options.logFile})${tail}`)
  }

  /** Asks the role to finish what it has in hand, and ends it when the time is up. Returns when it is gone. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    this.#ready.reject(new Error(`${this.name} was stopped`))
    const id = this.#id
    if (!id) return
    this.#process?.kill('SIGTERM')
    signal(id.pid, 'SIGCONT') // a stopped process would not hear it
    if (await waitUntilGone([id], timeoutMs)) return
    this.#options.report(`${this.name} did not stop in time and is ended`)
    this.kill()
    await waitUntilGone([id], 5_000)
  }

  /** Ends the role at once; without stop() before it, it will be started again. */
  kill() {
    if (this.#id) killGroup(this.#id.pid)
  }
}
