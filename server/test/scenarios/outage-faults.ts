import { setTimeout as delay } from 'node:timers/promises'
import { signal } from '../../src/supervisor/processes.ts'
import type { Installation } from './installation.ts'
import type { RandomFault } from './random-faults.ts'

// Faults that kill no process: a failing carrier, sockets that lose all traffic, a hanging database.

const faultMs = 3_000

async function set(installation: Installation, settings: object): Promise<void> {
  const { status, body } = await installation.control('PATCH', '/settings', settings)
  if (status !== 200) throw new Error(`the simulator rejected ${JSON.stringify(settings)}: ${JSON.stringify(body)}`)
}

/** Returns a fault that applies settings to the simulator for `faultMs`, then the settings that undo them. */
function carrierFault(name: string, settings: object, restored: object, leavesUnconfirmed = false): RandomFault {
  return {
    name,
    leavesUnconfirmed,
    async inject(installation, injected) {
      await set(installation, settings)
      injected()
      await delay(faultMs)
      await set(installation, restored)
    },
  }
}

export const outageFaults: RandomFault[] = [
  carrierFault('responses lost', { lose_responses: 5 }, { lose_responses: 0 }),
  carrierFault('responses late', { latency_ms: 3_500 }, { latency_ms: 100 }),
  carrierFault('responses out of order', { latency_jitter_ms: 300 }, { latency_jitter_ms: 0 }),
  carrierFault('throttling', { throttle: { mps: 100 } }, { throttle: null }),
  carrierFault('receipts twice', { receipt_count: 2 }, { receipt_count: 1 }),
  carrierFault('receipts first', { receipts_first: true }, { receipts_first: false }),
  carrierFault('receipts paused', { pause_receipts: true }, { pause_receipts: false }),
  {
    name: 'binds dropped',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      injected()
      await installation.control('POST', '/binds/drop')
    },
  },
  {
    name: 'sockets half open',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      const closeSockets = installation.proxy?.discardTraffic()
      injected()
      await delay(6_000)
      closeSockets?.()
    },
  },
  {
    name: 'database hanging',
    leavesUnconfirmed: true,
    async inject(installation, injected) {
      installation.signalDatabase('SIGSTOP')
      injected()
      await delay(faultMs)
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
      await delay(faultMs)
      signal(gateway, 'SIGCONT')
    },
  },
]
