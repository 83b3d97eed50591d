import { type ChildProcess, fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inheritedEnv } from '../../test/carillon-process.ts'
import { textTo } from '../../test/simulator.ts'
import { waitFor } from '../../test/wait-for.ts'
import { connect } from '../smpp/client.ts'
import { isReceipt, parseReceipt } from '../smpp/pdu/receipt-text.ts'
import type { Session } from '../smpp/session.ts'
import { readRawFile } from './raw-file.ts'

type Run = { process: ChildProcess; smppPort: number }

async function start(dataDir: string): Promise<Run> {
  const child = fork(new URL('../bin/simulator.ts', import.meta.url), {
    execArgv: [],
    env: {
      ...inheritedEnv(),
      CARILLON_DATA_DIR: dataDir,
      CARILLON_SIMULATOR_LATENCY_MS: '0',
      CARILLON_SIMULATOR_RECEIPT_DELAY_MS: '50',
      CARILLON_LOG_LEVEL: 'error',
    },
  })
  return new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('exited before it was ready')))
    child.on('message', (message: { type?: string; smppPort: number }) => {
      if (message.type === 'ready') resolve({ process: child, smppPort: message.smppPort })
    })
  })
}

/** Submits up to `messages` texts, and records the ids of responses and receipts. */
async function submitTexts({ smppPort }: Run, messages: number, responded: Set<string>, receipts: Set<string>) {
  const session = await connect({ host: '127.0.0.1', port: smppPort, system_id: 'any', password: 'any' })
  let sent = 0
  const fill = (): void => {
    for (; session.free > 0 && sent < messages; sent++) {
      session.request(textTo(String(12_126_000_000 + sent)), (outcome) => {
        if (outcome.kind === 'response' && outcome.pdu.command === 'submit_sm_resp')
          responded.add(outcome.pdu.message_id)
      })
    }
  }
  session.on('request', (pdu) => {
    if (pdu.command === 'deliver_sm' && isReceipt(pdu)) receipts.add(parseReceipt(pdu)?.message_id ?? '')
    session.respond(pdu)
  })
  session.on('drain', fill)
  fill()
  return session
}

test('after kill -9, every id of a response is in the raw file and gets its receipt from the next run', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'carillon-kill-'))
  const runs: Run[] = []
  let session: Session | undefined
  try {
    const responded = new Set<string>()
    const receipts = new Set<string>()
    runs.push(await start(dataDir))
    session = await submitTexts(runs[0] as Run, 1_000_000, responded, receipts)
    await waitFor(() => responded.size > 3_000 && receipts.size > 500, { timeoutMs: 10_000 })
    runs[0]?.process.kill('SIGKILL')
    await waitFor(() => session?.state === 'closed')
    expect(receipts.size).toBeLessThan(responded.size)

    const written = new Set([...readRawFile(join(dataDir, 'simulator', 'submits.raw'))].map(({ smscId }) => smscId))
    expect([...responded].filter((id) => !written.has(id))).toEqual([])
    // at most one window of texts was written before its responses arrived
    expect(written.size - responded.size).toBeLessThanOrEqual(100)

    runs.push(await start(dataDir))
    session = await submitTexts(runs[1] as Run, 0, responded, receipts)
    await waitFor(() => receipts.size === written.size, { timeoutMs: 10_000, what: 'all receipts' })
    expect(receipts).toEqual(written)
  } finally {
    session?.destroy()
    for (const { process: child } of runs) child.kill('SIGKILL')
    await rm(dataDir, { recursive: true, force: true })
  }
})
