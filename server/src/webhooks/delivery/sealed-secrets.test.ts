import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { makeRuntime } from '../../../test/runtime.ts'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import { readEnv } from '../../config/config.ts'
import { Sealer } from '../../lib/seal.ts'
import { getCallbackSecret, getWebhookSecret, rotateCallbackSecret, rotateWebhookSecret } from '../webhook-secrets.ts'
import { sealHeaders } from './custom-headers.ts'
import { findSecrets } from './endpoints.queries.ts'
import { makeSealedSecret, openSecrets } from './secrets.ts'

const world = useWebhooks()
const other = new Sealer(randomBytes(32))

test.each([
  ['secret', makeSealedSecret(other), makeSealedSecret(world.sealer)],
  ['headers', sealHeaders(other, [['x-key', 'swordfish']]), null],
])(
  'an endpoint whose %s cannot be opened is paused without an attempt, until the key is back',
  async (column, sealed, right) => {
    const lines: { level: number; msg: string; endpoint?: number }[] = []
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
    const [receiver, healthy] = [await world.receiverOf(), await world.receiverOf()]
    const list = await world.listWith(receiver.url)
    const { id } = await world.db.one<{ id: number }>(
      `spoil_${column}`,
      `update endpoints set ${column} = $1 where webhook_id = $2 returning id`,
      [sealed, list.webhookId],
    )
    await world.optIn(list, phones(8))
    await world.optIn(await world.listWith(healthy.url), phones(20))
    const state = () =>
      world.db.one<{ leasedBy: string | null; until: Date | null; failingSince: Date | null }>(
        'read_state',
        `select leased_by as "leasedBy", paused_until as until, failing_since as "failingSince"
         from endpoints where id = $1`,
        [id],
      )
    const dispatcher = world.newDispatcher({ log })
    await waitFor(async () => {
      await dispatcher.round()
      return healthy.received.length === 20 && (await state()).until !== null
    })
    expect(await state()).toEqual({
      leasedBy: null,
      until: new Date(start.getTime() + 60_000),
      failingSince: null,
    })
    expect(await world.attemptsOf(list.webhookId)).toEqual([])
    expect(receiver.received).toEqual([])
    expect(lines).toMatchObject([
      { level: 50, msg: 'cannot open the secrets of an endpoint, it is paused', endpoint: id },
    ])
    await world.db.exec(`repair_${column}`, `update endpoints set ${column} = $1 where id = $2`, [right, id])
    world.clock.time = new Date(start.getTime() + 60_000)
    await waitFor(async () => {
      await dispatcher.round()
      return (await world.pending()) === 0
    })
    expect(receiver.received).toHaveLength(8)
  },
)

test('a new secret ends the pause of an endpoint whose secret cannot be opened, which signs no longer', async () => {
  const receiver = await world.receiverOf()
  const list = await world.listWith(receiver.url)
  await world.db.exec(
    'spoil_both',
    'update endpoints set secret = $1, previous_secret = $1, previous_secret_until = $2 where webhook_id = $3',
    [makeSealedSecret(other), new Date(start.getTime() + 3_600_000), list.webhookId],
  )
  await world.optIn(list, phones(3))
  const dispatcher = world.newDispatcher()
  await waitFor(async () => {
    await dispatcher.round()
    return (await world.db.exec('count_paused', 'select from endpoints where paused_until is not null')) === 1
  })
  const config = readEnv({ CARILLON_SECRET_KEY: world.secretKey })
  const rt = makeRuntime({ db: world.db, clock: world.clock, config })
  const rotate = () =>
    rotateWebhookSecret(
      rt,
      world.accountId,
      { listId: list.id, id: list.webhookId },
      { secret: undefined, previousValidHours: 24 },
    )
  await expect(getWebhookSecret(rt, world.accountId, list.id, list.webhookId)).rejects.toMatchObject({
    status: 422,
    code: 'secret_unreadable',
  })
  const { secret, previousValidUntil } = await rotate()
  expect(previousValidUntil).toBeNull()
  await waitFor(async () => {
    await dispatcher.round()
    return (await world.pending()) === 0
  })
  const [event] = receiver.received
  expect(String(event?.headers['webhook-signature']).split(' ')).toHaveLength(1)
  expect(openSecrets(world.sealer, await findSecrets(world.db, list.webhookId), start)).toEqual([secret])
})

test('a new secret of callbacks ends their pauses, and a readable one does not end a pause for another reason', async () => {
  const receiver = await world.receiverOf()
  const { accountId } = world
  await world.db.exec('spoil_callbacks', 'insert into callback_secrets (account_id, secret) values ($1, $2)', [
    accountId,
    makeSealedSecret(other),
  ])
  await world.db.exec(
    'report',
    `insert into event_outbox (account_id, type, phone, occurred_at, callback_url, time_zone, facts)
     values ($1, 'transactional_message_status', 2065550100, $2, $3, 'UTC', '{"messageId":7,"status":"delivered"}')`,
    [accountId, start, receiver.url],
  )
  await world.number()
  const dispatcher = world.newDispatcher()
  const paused = () =>
    world.db.exec('paused_callbacks', 'select from endpoints where origin is not null and paused_until is not null')
  await waitFor(async () => {
    await dispatcher.round()
    return (await paused()) === 1
  })
  const config = readEnv({ CARILLON_SECRET_KEY: world.secretKey })
  const rt = makeRuntime({ db: world.db, clock: world.clock, config })
  const rotate = () => rotateCallbackSecret(rt, accountId, { secret: undefined, previousValidHours: 24 })
  await expect(getCallbackSecret(rt, accountId)).rejects.toMatchObject({ code: 'secret_unreadable' })
  expect((await rotate()).previousValidUntil).toBeNull()
  await waitFor(async () => {
    await dispatcher.round()
    return (await world.pending()) === 0
  })
  expect(receiver.received).toHaveLength(1)
  await dispatcher.stop()
  await world.db.exec('pause_callbacks', 'update endpoints set paused_until = $1 where origin is not null', [
    new Date(start.getTime() + 60_000),
  ])
  expect((await rotate()).previousValidUntil).not.toBeNull()
  expect(await paused()).toBe(1)
})
