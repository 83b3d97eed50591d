import { expect, test } from 'vitest'
import { useCli } from '../../test/cli.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { recordFailure } from '../log/failures.queries.ts'
import { acceptBroadcast } from '../messages/messages.ts'

const cli = useCli()
const { run, json } = cli

test('messages that are set aside are listed with their error, and retried by id or all together', async () => {
  const { db } = cli.database
  const list = await make.list(db)
  const rt = makeRuntime({ db })
  const ids: number[] = []
  for (let n = 0; n < 2; n++) {
    ids.push((await acceptBroadcast(rt, { accountId: list.accountId, list, content: 'Soup' })).id)
  }
  const [first = 0, second = 0] = ids
  const at = new Date('2031-05-06T09:00:00Z')
  const fail = (messageId: number) => recordFailure(db, { messageId, sweep: 'expand', error: 'TypeError' }, at)
  for (let n = 0; n < 5; n++) await fail(first)
  await fail(second)
  expect((await json('message set-aside')).messages).toEqual([
    {
      message_id: first,
      account_id: list.accountId,
      list_id: list.id,
      work: 'expand',
      since: at.toISOString(),
      attempts: 5,
      error: 'TypeError',
      set_aside_at: at.toISOString(),
      retry_at: '2031-05-06T10:00:00.000Z',
    },
  ])
  expect(await run('message set-aside')).toMatch(new RegExp(`^${first} .* expand .* 5 +TypeError`, 'm'))
  expect(await run('message retry all')).toBe('Work that is retried now: 1.')
  const { messages } = await json('message set-aside')
  expect(Math.abs(Date.parse(messages[0].retry_at) - Date.now())).toBeLessThan(60_000)
  expect(await run(`message retry ${second}`)).toBe('Work that is retried now: 1.')
  await expect(run('message retry 999999')).rejects.toThrow('Message 999999 has no failed work.')
  await expect(run('message retry one')).rejects.toThrow('Not the id of a message: one')
})

test('failures of a message that no longer exists are not recorded', async () => {
  const failure = { messageId: 999_999, sweep: 'start' as const, error: 'TypeError' }
  expect(await recordFailure(cli.database.db, failure, new Date())).toBeUndefined()
})
