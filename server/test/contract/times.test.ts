import { beforeEach, expect, test } from 'vitest'
import { type ApiResponse, basic, type Method, readResponse, useApi } from '../api.ts'
import { type DescribedOperation, describedOperations, documentOf } from './description.ts'
import { createFixtures, type Ids } from './fixtures.ts'
import { type RequestField, requestFields } from './request-fields.ts'

// Each time and date of a body is tried at extreme values: it is rejected with its name, or stored, and then the GETs of that noun
// respond with times of four-digit years. A field is a time if it accepts one but no word, so a new one is tried, too.

const api = useApi()
let ids: Ids
let operations: DescribedOperation[]
let fields: RequestField[]

beforeEach(async () => {
  ids = await createFixtures(api.db, api.owner, { name: 'Cedar Valley Pantry', phone: 2_065_550_143 })
  operations = describedOperations(api.app)
  fields = requestFields(operations, documentOf(api.app).components.schemas, ids)
})

/** Two times of the years that reports and plans have, because one of a pair may have to be earlier. */
const usual = ['2031-05-06T09:00:00-07:00', '2026-01-06']
const extremes = [
  ...['0000-01-01T00:00:00Z', '0000-01-01T00:00:00+14:00', '0001-01-01T00:00:00Z', '0000-01-01', '0001-01-01'],
  ...['1800-01-01', '18000101', '1969-12-31T23:59:59Z', '1970-01-01'],
  ...['2100-12-31T23:59:59.999999999Z', '2101-01-01T00:00:00+14:00', '2200-12-31', '99991231', '9999-12-31'],
  ...['9999-12-31T23:59:59Z', '9999-12-31T23:59:59.999-14:00', '10000-01-01', '+010000-01-01T00:00:00Z'],
  ...['+275760-09-13T00:00:00.000Z', '-000001-01-01T00:00:00Z', '-271821-04-20T00:00:00Z', '-0', '-1', '1e308'],
  ...['NaN', 'Infinity', '2147483648', '9007199254740993', '253402300800000', '2026-02-30', '2026-13-01T00:00:00Z'],
  ...['2026-01-01T24:00:00Z', '2026-06-30T23:59:60Z', '2026-01-01T00:00:00+24:00', '2026-01-01T00:00:00-23:59'],
]

async function call(name: string, body?: object): Promise<ApiResponse> {
  const [method, path = ''] = name.split(' ')
  const url = `/api/v2${path.replace(/\{(\w+)\}/g, (_, id) => ids[id] ?? '')}`
  const headers = { authorization: basic(api.owner.key), 'content-type': 'application/json' }
  const payload = body && { payload: JSON.stringify(body) }
  return readResponse(await api.app.inject({ method: method as Method, url, headers, ...payload }))
}

/** Sends the body with this value in the field, calls `after` with the response, and undoes its effect. */
async function attempt<T>({ operation, body }: RequestField, value: string, after: (response: ApiResponse) => T) {
  await api.db.exec('before', 'savepoint before')
  const result = await after(await call(operation.name, body(value)))
  await api.db.exec('undo', 'rollback to savepoint before')
  return result
}

const isAccepted = (field: RequestField, value: string) => attempt(field, value, ({ status }) => status < 300)

/** Returns the faults of the GETs of what the operation changes, and of the pages that contain it. */
async function readFaults({ path }: DescribedOperation): Promise<string[]> {
  const collection = path.replace(/\/\{\w+\}$/, '')
  const pages = operations.filter(
    (each) =>
      each.name.startsWith('GET ') &&
      (each.path === path || each.path.startsWith(collection)) &&
      !each.path.slice(collection.length + 1).includes('/') &&
      (each.path === path || !each.path.slice(collection.length).includes('{')),
  )
  const faults: string[] = []
  for (const { name } of pages) {
    const { status, text } = await call(name)
    if (status !== 200 || oddYear.test(text)) faults.push(`${name}: ${status} ${text.slice(0, 500)}`)
  }
  return faults
}

/** A time that most clients cannot parse. */
const oddYear = /"(?:[+-]\d{6}|0000)-\d\d-/

test('each time of a body is rejected or usable at extreme values', async () => {
  const strings = fields.filter(
    ({ operation, schema }) =>
      [schema.type].flat().includes('string') && !schema.enum && !/^PATCH|\/async$/.test(operation.name),
  )
  const times: RequestField[] = []
  for (const field of strings) {
    if (await isAccepted(field, 'none')) continue
    const accepted = []
    for (const value of usual) if (await isAccepted(field, value)) accepted.push(value)
    if (accepted.length > 0) times.push(field)
  }
  const faults: string[] = []
  for (const field of times) {
    for (const value of extremes) {
      const found = await attempt(field, value, ({ status, text }) => {
        if (status < 300) return oddYear.test(text) ? [text] : readFaults(field.operation)
        return status === 422 && text.includes(field.key) ? [] : [`${status} ${text}`]
      })
      for (const fault of await found) faults.push(`${field.operation.name}, ${field.name} ${value}: ${fault}`)
    }
  }
  expect(faults).toEqual([])
  expect(times.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'rate.since',
      'message.send_at',
      'message.deliver_by',
      'donated_at',
      'date_from',
      'date_to',
    ]),
  )
})

test('each date of a query is rejected or usable at extreme values', async () => {
  const dated = operations.flatMap(({ name, parameters = [] }) =>
    parameters.filter((parameter) => /_date$/.test(parameter.name)).map((parameter) => ({ name, key: parameter.name })),
  )
  expect(dated.length).toBeGreaterThan(5)
  for (const { name, key } of dated) {
    for (const value of [...extremes, '00000101', '00010101', '99991231', '20260230']) {
      const { status, text } = await call(`${name}?${key}=${encodeURIComponent(value)}`)
      expect(status === 200 || (status === 422 && text.includes(key)), `${name} ${key}=${value}: ${text}`).toBe(true)
    }
  }
})
