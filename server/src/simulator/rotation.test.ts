import { statSync } from 'node:fs'
import { expect, test } from 'vitest'
import { textTo, useSimulator } from '../../test/simulator.ts'
import { waitFor } from '../../test/wait-for.ts'
import { commandStatus } from '../smpp/pdu/command-status.ts'
import type { Session } from '../smpp/session.ts'

const rawFileBytes = 2_000
const simulator = useSimulator({ rawFileBytes })

/** Submits texts one by one, and returns the statuses of the responses. */
async function submit(session: Session, count: number): Promise<number[]> {
  const statuses: number[] = []
  for (let n = 0; n < count; n++) {
    const status = await new Promise<number>((resolve, reject) =>
      session.request(textTo(`1212555${String(n).padStart(4, '0')}`), (outcome) =>
        outcome.kind === 'response' ? resolve(outcome.pdu.command_status) : reject(new Error(outcome.kind)),
      ),
    )
    statuses.push(status)
  }
  return statuses
}

const sizes = () => [simulator.rawPath(), `${simulator.rawPath()}.1`].map((path) => statSync(path).size)

test('the raw file is rotated between texts, and both files have every text once', async () => {
  const { session, delivered } = await simulator.bind()
  expect(new Set(await submit(session, 30))).toEqual(new Set([commandStatus.ESME_ROK]))
  await waitFor(() => delivered.length === 30)
  for (let n = 0; n < 20; n++) {
    await submit(session, 1)
    await waitFor(() => delivered.length === 31 + n)
  }
  expect(Math.max(...sizes())).toBeLessThan(2 * rawFileBytes)
  const ids = simulator.raw().map(({ smscId }) => smscId)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.length).toBeGreaterThan(20)
})

test('a full raw file rejects texts while receipts are owed, and accepts them afterwards', async () => {
  await simulator.control('PATCH', '/settings', { pause_receipts: true })
  const { session, delivered } = await simulator.bind()
  const statuses = await submit(session, 100)
  const accepted = statuses.filter((status) => status === commandStatus.ESME_ROK).length
  expect(accepted).toBeLessThan(100)
  expect(statuses.slice(accepted)).toEqual(Array.from({ length: 100 - accepted }, () => commandStatus.ESME_RMSGQFUL))
  expect(statSync(simulator.rawPath()).size).toBeLessThan(2.2 * rawFileBytes)
  await simulator.stop()
  await simulator.start()
  const next = await simulator.bind()
  await waitFor(() => delivered.length + next.delivered.length === accepted, { what: 'the owed receipts' })
  await waitFor(async () => (await submit(next.session, 1))[0] === commandStatus.ESME_ROK)
  expect(simulator.raw()).toHaveLength(accepted + 1)
  expect(sizes()[0]).toBeLessThan(rawFileBytes)
})
