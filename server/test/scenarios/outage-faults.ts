import { setTimeout as delay } from 'node:timers/promises'
import { signal } from '../../src/supervisor/processes.ts'
import type { Installation } from './installation.ts'
import type { RandomFault } from './random-faults.ts'

// Faults without a killed process: a failing carrier, a wire that loses everything, a database that hangs.

const lasting = (ms: number) => delay(ms)

async function set(installation: Installation, settings: object): Promise<void> {
  const { status, body } = await installation.control('PATCH', '/settings', settings)
  if (status !== 200) throw new Error(`the simulator rejected ${JSON.stringify(settings)}: ${JSON.stringify(body)}`)
}

/** Applies these settings to the carrier for some seconds. */
function carrier(name: string, settings: object, mended: object, leavesUnconfirmed = false): RandomFault {
  return {
    name,
    leavesUnconfirmed,
    async inject(installation, injected) {
      await set(installation, settings)
      injected()
      await lasting(3_000)
      await set(installation, mended)
    },
  }
}

export const outageFaults: RandomFault[] = [
  carrier('answers lost', { lose_answers: 5 }, { lose_answers: 0 }),
  carrier('answers late', { latency_ms: 3_500 }, { latency_ms: 100 }),
  carrier('answers out of order', { latency_jitter_ms: 300 }, { latency_jitter_ms: 0 }),
  carrier('throttling', { throttle: { mps: 100 } }, { throttle: null }),
  carrier('receipts twice', { receipt_count: 2 }, { receipt_count: 1 }),
  carrier('receipts first', { receipts_first: true }, { receipts_first: false }),
  carrier('receipts held', { hold_receipts: true }, { hold_receipts: false }),
  {
    name: 'binds dropped',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      injected()
      await installation.control('POST', '/binds/drop')
    },
  },
  {
    name: 'connections half open',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      const notice = installation.wire?.swallow()
      injected()
      await lasting(6_000)
      notice?.()
    },
  },
  {
    name: 'database hanging',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      installation.signalDatabase('SIGSTOP')
      injected()
      await lasting(3_000)
      installation.signalDatabase('SIGCONT')
    },
  },
  {
    name: 'gateway hanging',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      const gateway = installation.pid('gateway')
      signal(gateway, 'SIGSTOP')
      injected()
      await lasting(3_000)
      signal(gateway, 'SIGCONT')
    },
  },
]
