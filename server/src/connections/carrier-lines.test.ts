import { beforeEach, expect, test } from 'vitest'
import { CarrierLines, carrierLines } from './carrier-lines.ts'

type Line = { level: string; connection_id?: number; omitted?: number; message: string }

let lines: Line[]
const log = {
  warn: (fields: object, message: string) => void lines.push({ level: 'warn', ...fields, message }),
  info: (fields: object, message: string) => void lines.push({ level: 'info', ...fields, message }),
}

beforeEach(() => {
  lines = []
})

test('a connection has 60 lines per minute, and the others are counted', () => {
  const limited = new CarrierLines(log)
  for (let n = 0; n < 1_000; n++) limited.warn(1, { connection: 'one' }, 'bind lost')
  limited.info(2, { connection: 'two' }, 'bound')
  expect(lines).toHaveLength(61)
  expect(lines.at(-1)).toEqual({ level: 'info', connection: 'two', message: 'bound' })
  limited.report()
  const omitted = { level: 'warn', connection_id: 1, omitted: 940, message: 'lines about a connection omitted' }
  expect(lines.slice(61)).toEqual([omitted])
  limited.warn(1, {}, 'bind lost')
  limited.report()
  expect(lines).toHaveLength(63)
})

test('all parts of a process share the lines of a connection', () => {
  for (let n = 0; n < 50; n++) carrierLines(log).warn(1, {}, 'bind lost')
  for (let n = 0; n < 50; n++) carrierLines(log).warn(1, {}, 'malformed deliver_sm')
  expect(lines).toHaveLength(60)
})
