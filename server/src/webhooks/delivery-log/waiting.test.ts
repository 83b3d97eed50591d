import { expect, test } from 'vitest'
import { useApi } from '../../../test/api.ts'
import { make } from '../../../test/make.ts'

const now = new Date('2026-03-02T10:00:00Z')
const api = useApi({ clock: { now: () => now } })

test('the events that wait for a webhook are listed by position, with their next attempts', async () => {
  const list = await make.list(api.db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
  const [webhook, other] = [
    await make.webhook(api.db, { listId: list.id }),
    await make.webhook(api.db, { listId: list.id }),
  ]
  await api.db.exec(
    'fill',
    `with e as (insert into events (position, account_id, list_id, type, phone, occurred_at, payload)
                select n, $2, $3, 'subscribe', 2065550100 + n % 2, $4, '{}' from generate_series(1, 5) n),
          l as (insert into dead_letters (endpoint_id, phone, given_up_at)
                select id, 2065550101, $4 from endpoints where webhook_id = $1)
     insert into deliveries (endpoint_id, position, phone, attempts, due_at, is_behind)
     select p.id, n, 2065550100 + n % 2, n, $4::timestamptz + n * interval '1 minute', n < 4
       from endpoints p, generate_series(1, 5) n where p.webhook_id = $1 order by n desc`,
    [webhook.id, api.owner.accountId, list.id, now],
  )
  const path = `/lists/${list.id}/webhooks/${webhook.id}/deliveries`
  const first = await api.owner.get(`${path}?limit=3`)
  const positionsOf = ({ body }: typeof first) =>
    (body.deliveries as { position: number }[]).map(({ position }) => position)
  expect(positionsOf(first)).toEqual([1, 2, 3])
  expect(first.body.next_after).toBe(3)
  const rest = await api.owner.get(`${path}?limit=3&after=3`)
  expect(rest.body).toMatchObject({
    deliveries: [
      { position: 4 },
      {
        position: 5,
        type: 'subscribe',
        phone_number: '2065550101',
        is_test: false,
        occurred_at: '2026-03-02T02:00:00-08:00',
        attempts: 5,
        due_at: '2026-03-02T02:05:00-08:00',
        after_dead_letter: true,
      },
    ],
    next_after: null,
  })
  expect(positionsOf(await api.owner.get(`${path}?phone_number=2065550100`))).toEqual([2, 4])
  expect(positionsOf(await api.owner.get(`/lists/${list.id}/webhooks/${other.id}/deliveries`))).toEqual([])
  expect((await api.stranger.get(path)).status).toBe(404)
  for (const query of ['after=-1', 'limit=0', 'phone_number=1']) {
    expect((await api.owner.get(`${path}?${query}`)).status).toBe(422)
  }
})
