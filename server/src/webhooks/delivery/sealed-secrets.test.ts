import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { waitFor } from '../../../test/wait-for.ts'
import { phones, start, useWebhooks } from '../../../test/webhook-world.ts'
import { Sealer } from '../../lib/seal.ts'
import { sealHeaders } from './custom-headers.ts'
import { makeSealedSecret } from './secrets.ts'

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
