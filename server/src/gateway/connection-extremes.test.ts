import { afterEach, beforeEach, expect, test } from 'vitest'
import { startSending } from '../../test/sending.ts'
import { waitFor } from '../../test/wait-for.ts'
import { createConnection } from '../connections/changes.ts'
import { readConnectionChange, settable } from '../connections/settings.schema.ts'

type Sending = Awaited<ReturnType<typeof startSending>>
let sending: Sending

beforeEach(async () => {
  sending = await startSending({ binds: 1 })
})
afterEach(() => sending.stop())

/** Returns all settings that are numbers, except the port, at this limit of their schemas. */
function numbersAt(limit: 'minimum' | 'maximum'): Record<string, unknown> {
  const numbers = Object.entries(settable as Record<string, { minimum?: number; maximum?: number }>).filter(
    ([name, schema]) => schema[limit] !== undefined && name !== 'port',
  )
  expect(numbers.length).toBeGreaterThan(10)
  return Object.fromEntries(numbers.map(([name, schema]) => [name, schema[limit]]))
}

test.each([
  ['minimum', 'relative', 1],
  ['minimum', 'absolute', 1],
  ['maximum', 'relative', 100_000],
  ['maximum', 'absolute', 100_000],
] as const)(
  'sends with each number of a connection at its %s, with a validity period that is %s',
  async (limit, form, mps) => {
    const { smpp } = sending.rt.config
    await createConnection(sending.rt, {
      ...readConnectionChange({
        ...numbersAt(limit),
        carrier_mps: { 383: mps },
        validity_period: form,
        query_sm: true,
      }),
      name: 'Extreme',
      host: '127.0.0.1',
      port: smpp?.port,
      systemId: smpp?.systemId,
      password: smpp?.password,
      servesAll: true,
    })
    await sending.startGateway()
    await sending.db.exec(
      'only',
      `update connections set enabled = false, version = version + 1 where name <> 'Extreme'`,
    )
    const isAlone = `select from bind_slots b join connections c on c.id = b.connection_id having bool_and(c.name = 'Extreme' and b.bound)`
    await waitFor(async () => (await sending.db.exec('is_alone', isAlone)) === 1)
    await sending.subscribe(2_065_560_001, 2_065_560_002)
    const id = await sending.broadcast()
    await sending.waitForCounters(id, { delivered: 2 })
    expect(sending.raw()).toHaveLength(2)
  },
)
