import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase, type TestDatabase } from '../../../test/database.ts'
import { make } from '../../../test/make.ts'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { claimSlots, syncSlots } from '../../connections/bind-slots.queries.ts'
import { listenForWork } from '../../db/wake.ts'
import type { BindGroup } from './bind-group.ts'
import { BindSlots } from './bind-slots.ts'

let database: TestDatabase
beforeEach(async () => {
  database = await freshDatabase()
})
afterEach(() => database.close())

test('a bind slot that is given up is free at once, and other gateways are notified', async () => {
  const { db, url } = database
  const { log } = makeRuntime({ db })
  const { id } = await make.connection(db, { name: 'Cedar SMS' })
  await syncSlots(db)
  const [gateway, another] = [randomUUID(), randomUUID()]
  const leaseMs = 60_000
  await claimSlots(db, gateway, leaseMs, [id])
  const notices: string[] = []
  const listening = new AbortController()
  listenForWork(url, log, listening.signal, (work) => notices.push(work))
  // what the listener missed while it connected is reported once it has
  await waitFor(() => notices.includes('connections'))
  notices.length = 0
  const group = { connection: { id, name: 'Cedar SMS', slots: 1 }, slots: [{ slot: 0 }], unbind: async () => {} }
  const groups = new Map([[id, group as unknown as BindGroup]])
  const slots = new BindSlots({ db, log, gateway, leaseMs, groups })
  await slots.stop()
  await waitFor(() => notices.includes('connections'))
  listening.abort()
  expect((await claimSlots(db, another, leaseMs, [id]))[0]?.claimed).toEqual([0])
})
