import { setTimeout as delay } from 'node:timers/promises'
import { signal } from '../../src/supervisor/processes.ts'
import type { Blow } from './blows.ts'
import type { House } from './house.ts'

// What goes wrong without anybody dying: a carrier in a bad mood, a wire that loses everything, a database that hangs.

const lasting = (ms: number) => delay(ms)

async function set(house: House, settings: object): Promise<void> {
  const { status, body } = await house.control('PATCH', '/settings', settings)
  if (status !== 200) throw new Error(`the simulator refused ${JSON.stringify(settings)}: ${JSON.stringify(body)}`)
}

/** The carrier is like this for some seconds. */
function carrier(name: string, settings: object, mended: object, leavesDoubt = false): Blow {
  return {
    name,
    leavesDoubt,
    async strike(house, struck) {
      await set(house, settings)
      struck()
      await lasting(3_000)
      await set(house, mended)
    },
  }
}

export const troubles: Blow[] = [
  carrier('answers lost', { lose_answers: 5 }, { lose_answers: 0 }),
  carrier('answers late', { latency_ms: 3_500 }, { latency_ms: 100 }),
  carrier('answers out of order', { latency_jitter_ms: 300 }, { latency_jitter_ms: 0 }),
  carrier('throttling', { throttle: { mps: 100 } }, { throttle: null }),
  carrier('receipts twice', { receipt_count: 2 }, { receipt_count: 1 }),
  carrier('receipts first', { receipts_first: true }, { receipts_first: false }),
  carrier('receipts held', { hold_receipts: true }, { hold_receipts: false }),
  {
    name: 'binds dropped',
    leavesDoubt: true,
    async strike(house, struck) {
      struck()
      await house.control('POST', '/binds/drop')
    },
  },
  {
    name: 'connections half open',
    leavesDoubt: true,
    async strike(house, struck) {
      const notice = house.wire?.swallow()
      struck()
      await lasting(6_000)
      notice?.()
    },
  },
  {
    name: 'database hanging',
    leavesDoubt: true,
    async strike(house, struck) {
      house.signalDatabase('SIGSTOP')
      struck()
      await lasting(3_000)
      house.signalDatabase('SIGCONT')
    },
  },
  {
    name: 'gateway hanging',
    leavesDoubt: true,
    async strike(house, struck) {
      const gateway = house.pid('gateway')
      signal(gateway, 'SIGSTOP')
      struck()
      await lasting(3_000)
      signal(gateway, 'SIGCONT')
    },
  },
]
