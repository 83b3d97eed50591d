import { pino } from 'pino'
import { expect, test } from 'vitest'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'

const world = useWebhooks()

test('an attempt that cannot be recorded delays no other event, and is logged', async () => {
  const [bare = 0, never = 0] = phones(2)
  // stands in for values that PostgreSQL rejects
  await world.db.exec(
    'poison',
    `alter table delivery_attempts
       add constraint poison check (phone <> ${never} and (phone <> ${bare} or request_headers::text = '{}'))`,
  )
  const lines: { level: number; msg: string; position: number }[] = []
  const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const receiver = await world.receiverOf()
  const list = await world.listWith(receiver.url)
  await world.optIn(list, phones(40))
  const dispatcher = world.newDispatcher({ log })
  await dispatcher.round()
  await waitFor(async () => (await world.attemptsOf()).length === 39)
  const rest = () => world.db.many('read_rest', 'select phone, attempts, due_at as due from deliveries')
  const postponed = { phone: never, attempts: 0, due: new Date(start.getTime() + 3_600_000) }
  await waitFor(async () => ((await rest())[0] as typeof postponed).due > start)
  expect(await rest()).toEqual([postponed])
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    [50, 'attempt cannot be recorded with its content'],
    [50, 'attempt cannot be recorded with its content'],
  ])
  // the endpoint continues
  await world.optIn(list, phones(41).slice(40))
  await waitFor(async () => {
    await dispatcher.round()
    return (await world.attemptsOf()).length === 40
  })
  await world.db.exec('heal', 'alter table delivery_attempts drop constraint poison')
  world.clock.time = postponed.due
  await waitFor(async () => {
    await dispatcher.round()
    return (await world.pending()) === 0
  })
})
