import { expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { make } from '../../test/make.ts'
import { LineWriter } from './momt-lines.ts'
import { copySlice, type RowsOfSlice } from './momt-slices.queries.ts'

const api = useApi()

test('a copy whose sink fails leaves a connection that works', async () => {
  const { id } = await make.connection(api.db)
  // more than the buffers of the connection hold
  const rows = await api.db.many<{ id: number }>(
    'insert_long_mos',
    `insert into inbound_messages (connection_id, short_code, phone, source_addr, content, raw, data_coding, received_at)
     select $1, $2, 2065550100, '1206', repeat('x', 1000), '', 0, '2031-03-03T00:00:00Z' from generate_series(1, 10000)
     returning id`,
    [id, api.owner.shortCode.code],
  )
  const none = { direction: null, statuses: null, messageType: null, shortCode: null, reason: null }
  const filters = { ...none, messageId: null, listId: null, carrier: null, phone: null, clicked: null, link: null }
  const writerOf = (given: RowsOfSlice) => new LineWriter({ ...given, format: 'csv', timeZone: 'UTC' })
  const full = async (lines: AsyncIterable<Buffer>) => {
    for await (const _line of lines) throw new Error('full')
  }
  const copied = api.db.tx((tx) => copySlice(tx, { ids: rows.map((row) => row.id) }, filters, writerOf, full))
  await expect(copied).rejects.toThrow('full')
  expect(await api.db.one('read_one', 'select 1 as one')).toEqual({ one: 1 })
})
