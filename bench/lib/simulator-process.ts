import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const binary = new URL('../../server/src/bin/simulator.ts', import.meta.url)

/** A simulator in a separate process, without the rest of the product. */
export type SimulatorProcess = {
  pid: number
  smppPort: number
  rawFile: string
  /** Returns the simulator's counters since its start. */
  counts(): Promise<{ receiptsAcknowledged: number }>
  stop(): void
}

/** Starts a simulator without latency, on its own ports and directory; it accepts any credentials. */
export async function startSimulatorProcess({ receiptDelayMs = 0 } = {}): Promise<SimulatorProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-bench-'))
  const child = fork(binary, {
    env: {
      ...process.env,
      CARILLON_DATA_DIR: folder,
      CARILLON_SIMULATOR_LATENCY_MS: '0',
      CARILLON_SIMULATOR_RECEIPT_DELAY_MS: String(receiptDelayMs),
      CARILLON_LOG_LEVEL: 'error',
      CARILLON_SIMULATOR_RAW_FILE_MB: '100000',
    },
  })
  const stop = () => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const { smppPort, controlPort } = await ready(child)
    return {
      pid: child.pid as number,
      smppPort,
      rawFile: join(folder, 'simulator', 'submits.raw'),
      async counts() {
        const response = await fetch(`http://127.0.0.1:${controlPort}/state`)
        const { receipts } = (await response.json()) as { receipts: { acknowledged: number } }
        return { receiptsAcknowledged: receipts.acknowledged }
      },
      stop,
    }
  } catch (error) {
    stop()
    throw error
  }
}

function ready(child: ChildProcess): Promise<{ smppPort: number; controlPort: number }> {
  return new Promise((resolve, reject) => {
    child.on('message', (message: { type?: string; smppPort: number; controlPort: number }) => {
      if (message.type === 'ready') resolve(message)
    })
    child.once('exit', (code) => reject(new Error(`the simulator ended with code ${code}`)))
  })
}
