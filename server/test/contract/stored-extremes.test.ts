import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import { sweeps } from '../../src/broadcasts/sweeps.ts'
import { computeFlightPlanJob } from '../../src/flight-plans/flight-plans.jobs.ts'
import { makeApp } from '../../src/http/app.ts'
import { applyImport } from '../../src/imports/imports.jobs.ts'
import type { Job } from '../../src/jobs/jobs.ts'
import { applyChanges } from '../../src/subscribers/subscribers.jobs.ts'
import { type ApiResponse, basic, type Method, makeCaller, readResponse } from '../api.ts'
import { startSending } from '../sending.ts'
import { waitFor } from '../wait-for.ts'
import { bodies } from './bodies.ts'
import { describedOperations, documentOf } from './description.ts'
import { createFixtures } from './fixtures.ts'
import { requestFields } from './request-fields.ts'

// Each numeric field of a body is stored with its minimum and its maximum. Then texts are sent, messages are closed, jobs run, and
// each GET is called. The test reads the fields from openapi.json, so it includes new ones.

const toClose: (() => unknown)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
})

type Installation = Awaited<ReturnType<typeof start>>

/** Starts an installation with one of each noun; short codes can send through its simulator. */
async function start() {
  const warnings: unknown[] = []
  const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(JSON.parse(line)) })
  const sending = await startSending({ log })
  toClose.push(() => sending.stop())
  const { db, rt } = sending
  const app = await makeApp(rt)
  toClose.push(() => app.close())
  const owner = await makeCaller(db, app, true)
  await sending.startGateway()
  const fixtures = await createFixtures(db, owner, { name: 'Cedar Valley Pantry', phone: 2_065_550_143 })
  const { id: live } = await db.one<{ id: number }>('live', 'select id from connections where enabled')
  const ids = { ...fixtures, connection_id: String(live) }
  const operations = describedOperations(app)
  return {
    ...{ sending, warnings, operations, ids },
    fields: requestFields(operations, documentOf(app).components.schemas, ids),
    async call(name: string, body?: object): Promise<ApiResponse> {
      const [method, path = ''] = name.split(' ')
      const url = `/api/v2${path.replace(/\{(\w+)\}/g, (_, id) => ids[id as keyof typeof ids] ?? '')}`
      const headers = { authorization: basic(owner.key), 'content-type': 'application/json' }
      const payload = body && { payload: JSON.stringify(body) }
      return readResponse(await app.inject({ method: method as Method, url, headers, ...payload }))
    },
  }
}

/** Expects that each GET has a 200. */
async function expectReads({ operations, call }: Installation): Promise<void> {
  const faults: string[] = []
  for (const { name } of operations.filter(({ name }) => name.startsWith('GET ') && name in bodies)) {
    const { status, text } = await call(name)
    if (status !== 200) faults.push(`${name}: ${status} ${text.slice(0, 2_000)}`)
  }
  expect(faults).toEqual([])
}

const jobs: Job<never>[] = [applyImport, applyChanges, computeFlightPlanJob]

/** Runs the waiting jobs, and waits until no message has work left. */
async function finishWork({ sending }: Installation): Promise<void> {
  const { db, rt } = sending
  const waiting = await db.many<{ name: string; data: object }>(
    'waiting',
    `select name, data from pgboss.job where state = 'created'`,
  )
  for (const { name, data } of waiting)
    await jobs.find((job) => job.name === name)?.run(rt, data as never, new AbortController().signal)
  const open = `select from messages where status not in ('sent', 'cancelled', 'draft', 'scheduled')`
  await waitFor(async () => (await db.exec('open', open)) === 0)
}

/** Runs all sweeps at the time after which all messages are closed. */
async function close({ sending }: Installation): Promise<void> {
  const { rt, db } = sending
  const at = new Date(Date.now() + 40 * 86_400_000)
  for (const { round } of Object.values(sweeps)) await round({ ...rt, clock: { now: () => at } })
  expect(await db.exec('unclosed', `select from messages where status = 'sent' and closed_at is null`)).toBe(0)
}

test.each(['minimum', 'maximum'] as const)(
  'each number of a body at its %s: texts are sent and closed',
  async (limit) => {
    const installation = await start()
    const { sending, fields, call, warnings } = installation
    // connection-extremes.test.ts sends through connections with numbers at their limits
    const numbers = fields.filter(
      ({ operation, schema }) => limit in schema && !/^(PUT|PATCH) \/conn/.test(operation.name),
    )
    const stored: string[] = []
    for (const { operation, name, schema, body } of numbers) {
      const response = await call(operation.name, body(schema[limit]))
      expect(response.status, `${operation.name}, ${name}: ${response.text}`).toBeLessThan(500)
      if (response.status < 300) stored.push(name)
    }
    expect(new Set(stored).size).toBeGreaterThan(10)
    // whatever the time of the day
    await call('PUT /quiet_hours', { quiet_hours: { broadcasts: false } })
    const transactional_message = { number: '2065550144', content: 'Cedar Valley Pantry: your box is ready.' }
    const text = await call('POST /transactional_messages', { transactional_message })
    const broadcast = await call('POST /lists/{list_id}/messages', { message: { content: 'Closed on Monday.' } })
    await finishWork(installation)
    for (const { id } of [text.body.transactional_message, broadcast.body.message] as { id: number }[])
      await sending.waitForCounters(id, { delivered: 1 })
    await close(installation)
    await expectReads(installation)
    expect(warnings).toEqual([])
  },
)
