import { type ChildProcess, spawn } from 'node:child_process'
import { OperatorError } from '../errors.ts'
import { lastLines } from '../system/log-file.ts'
import { captureOutput } from './output.ts'
import { identify, killGroup, type ProcessId, signal, waitUntilGone } from './processes.ts'

const firstDelayMs = 100
const maxDelayMs = 5_000
const steadyMs = 30_000 // uptime after which the restart delay is reset
const firstStartAttempts = 3
const firstStartMs = 60_000

/** The fields of a role's ready message, for instance its ports. */
export type Ready = Readonly<Record<string, unknown>>

export type ChildOptions = {
  name: string
  script: string
  logFile: string
  logFileBytes: number
  /** Called before each start, because a restarted role gets values (such as ports) that its first start reported. */
  env: () => NodeJS.ProcessEnv
  /** Writes a line to the terminal and the supervisor's log. */
  report: (line: string) => void
  /** Called whenever a process starts or exits. */
  onChange: () => void
}

/** Runs one role as a child process and restarts it with back-off until it is stopped. */
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
    this.#ready.promise.catch(() => {}) // callers of start() handle the rejection
  }

  /** The running process, if any. */
  get id(): ProcessId | undefined {
    return this.#id
  }

  /** Starts the role and returns its ready message; throws OperatorError if it fails three times or is not ready in a minute. */
  start(): Promise<Ready> {
    if (!this.#stopping) this.#spawn()
    const timer = setTimeout(() => this.#ready.reject(this.#failure('no ready message')), firstStartMs)
    this.#ready.promise.finally(() => clearTimeout(timer)).catch(() => {})
    return this.#ready.promise
  }

  #spawn() {
    const { script, logFile, logFileBytes, env } = this.#options
    this.#attempts++
    this.#startedAt = performance.now()
    const child = spawn(process.execPath, [script], {
      env: { ...env(), CARILLON_LOG_FILE: logFile },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true, // its own process group, so that a terminal's Ctrl-C reaches only the supervisor
    })
    const written = captureOutput(child, logFile, logFileBytes)
    this.#process = child
    this.#id = child.pid === undefined ? undefined : identify(child.pid)
    this.#options.onChange()
    child.on('message', (message) => this.#onMessage(message))
    child.once('exit', (code, signal) => this.#onExit(signal ?? `code ${code}`, written))
    child.on('error', (e) => {
      if (child.pid === undefined) this.#onExit(e.message, written)
    })
  }

  #onMessage(message: unknown) {
    if (typeof message !== 'object' || message === null || !('type' in message) || message.type !== 'ready') return
    const isRestart = this.#everReady
    this.#everReady = true
    this.#ready.resolve(message as Ready)
    if (isRestart) this.#options.report(`${this.name} is running again`)
  }

  #onExit(reason: string, written: Promise<void>) {
    // ends the role's own child processes
    if (this.#id) killGroup(this.#id.pid)
    this.#process = undefined
    this.#id = undefined
    this.#options.onChange()
    if (this.#stopping) return
    if (!this.#everReady && this.#attempts >= firstStartAttempts) {
      void written.then(() => this.#ready.reject(this.#failure(reason)))
      return
    }
    if (performance.now() - this.#startedAt > steadyMs) this.#delayMs = firstDelayMs
    this.#options.report(`${this.name} ended (${reason}); restarting it in ${this.#delayMs / 1_000} s`)
    this.#timer = setTimeout(() => this.#spawn(), this.#delayMs)
    this.#delayMs = Math.min(this.#delayMs * 2, maxDelayMs)
  }

  #failure(reason: string): OperatorError {
    const { logFile } = this.#options
    return new OperatorError(`${this.name} failed to start (${reason}; see ${logFile})${lastLines(logFile)}`)
  }

  /** Sends SIGTERM, so that the role finishes its work, and kills it after `timeoutMs`. Resolves when the process has exited. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    this.#ready.reject(new Error(`${this.name} was stopped`))
    const id = this.#id
    if (!id) return
    this.#process?.kill('SIGTERM')
    signal(id.pid, 'SIGCONT') // a stopped process would not receive SIGTERM
    if (await waitUntilGone([id], timeoutMs)) return
    this.#options.report(`${this.name} did not stop in time, killing it`)
    this.kill()
    await waitUntilGone([id], 5_000)
  }

  /** Kills the role immediately; it is restarted unless stop() has been called. */
  kill() {
    if (this.#id) killGroup(this.#id.pid)
  }
}
