import { afterAll, beforeAll, beforeEach } from 'vitest'
import { type Rotation, takeTurn } from '../src/jobs/turns.ts'
import { replaysQueue } from '../src/webhooks/replays/replays.jobs.ts'
import { freshApi } from './api.ts'
import { make } from './make.ts'

export const start = new Date('2026-03-02T10:00:00Z')
export const minutes = (n: number) => new Date(start.getTime() + n * 60_000)

/** The phone of the event at position n is this one plus n. */
export const phone = 2_065_550_100

/** A database of a test file with two accounts, and a webhook of the first one that receives `subscribe`, new for each test. */
export function useReplays() {
  const clock = { time: start, now: () => clock.time }
  let api: Awaited<ReturnType<typeof freshApi>>
  let listId: number
  let webhookId: number

  beforeAll(async () => {
    api = await freshApi({ clock })
  })
  afterAll(() => api.close())
  beforeEach(async () => {
    clock.time = start
    await api.database.db.exec('forget', 'truncate events, deliveries, delivery_attempts, webhooks cascade')
    await api.database.db.exec('reset', 'update event_sequence set last_position = 0, deleted_position = 0')
    listId = (await make.list(api.database.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id }))
      .id
    webhookId = await world.newWebhook(listId)
  })

  const world = {
    clock,
    get db() {
      return api.database.db
    },
    get rt() {
      return api.rt
    },
    get owner() {
      return api.owner
    },
    get stranger() {
      return api.stranger
    },
    get listId() {
      return listId
    },
    get webhookId() {
      return webhookId
    },
    get path() {
      return `/lists/${listId}/webhooks/${webhookId}/replays`
    },

    /** Creates a webhook that receives `subscribe`. */
    async newWebhook(list: number): Promise<number> {
      const { id } = await make.webhook(api.database.db, { listId: list })
      await api.database.db.exec('flag', 'update webhooks set subscribe = true where id = $1', [id])
      return id
    },

    /** Inserts this number of events, each of another phone, and returns the last position. */
    async newEvents(count: number, { list = listId, type = 'subscribe', at = start, caller = api.owner } = {}) {
      const { last } = await api.database.db.one<{ last: number }>(
        'add_events',
        `with last as (update event_sequence set last_position = last_position + $1 returning last_position as n)
         , added as (
           insert into events (position, account_id, list_id, type, phone, occurred_at, payload)
           select last.n - $1 + k, $2, $3, $4, ${phone} + last.n - $1 + k, $5, '{}' from last, generate_series(1, $1) k)
         select n as last from last`,
        [count, caller.accountId, list, type, at],
      )
      return last
    },

    failed: (position: number, outcome: string, startedAt: Date) =>
      make.deliveryAttempt(api.database.db, { webhookId, position, outcome, startedAt, phone: phone + position }),

    ask: (replay: object, caller = api.owner) => caller.post(world.path, { replay }),

    /** Does all turns, as a worker does, and returns their number. */
    async work(): Promise<number> {
      const rotation: Rotation = { lastAccount: 0 }
      let turns = 0
      while (await takeTurn(api.rt, replaysQueue, rotation)) turns++
      return turns
    },

    /** Returns the positions that wait for a webhook, in the order in which they were queued. */
    async queue(webhook = webhookId): Promise<number[]> {
      const rows = await api.database.db.many<{ position: number }>(
        'read_queue',
        'select position from deliveries d join endpoints p on p.id = d.endpoint_id where p.webhook_id = $1 order by d.id',
        [webhook],
      )
      return rows.map(({ position }) => position)
    },

    async endpointId(webhook = webhookId): Promise<number> {
      const sql = 'select id from endpoints where webhook_id = $1'
      return (await api.database.db.one<{ id: number }>('find_endpoint', sql, [webhook])).id
    },

    async replayOf(response: { body: Record<string, unknown> }) {
      const { id } = response.body.replay as { id: number }
      return (await api.owner.get(`${world.path}/${id}`)).body.replay
    },
  }
  return world
}
