import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type Access, type Answers, HostileAccount } from './hostile-account.ts'

// The hostile account has a thread of its own, so that its work as a client does not delay the clock of the ordinary one.

type Command = 'prepare' | 'fillQueues' | 'start' | 'stop'

/** Runs a HostileAccount in another thread. */
export class HostileThread {
  readonly #worker: Worker

  constructor(access: Access) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: access })
  }

  prepare(): Promise<unknown> {
    return this.#run('prepare')
  }

  fillQueues(): Promise<unknown> {
    return this.#run('fillQueues')
  }

  start(): Promise<unknown> {
    return this.#run('start')
  }

  /** Ends all attacks and the thread, and returns their responses. */
  async stop(): Promise<Answers> {
    const answers = await this.#run('stop')
    await this.terminate()
    return answers
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }

  async #run(command: Command): Promise<Answers> {
    this.#worker.postMessage(command)
    const [answers] = (await once(this.#worker, 'message')) as [Answers]
    return answers
  }
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort
  const account = new HostileAccount(workerData as Access)
  port.on('message', async (command: Command) => {
    await account[command]()
    port.postMessage(account.answers)
  })
}
