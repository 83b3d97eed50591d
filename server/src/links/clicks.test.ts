import { beforeEach, describe, expect, test } from 'vitest'
import { useApi } from '../../test/api.ts'
import { freshDatabase } from '../../test/database.ts'
import { explain } from '../../test/explain.ts'
import { make } from '../../test/make.ts'
import { makeRuntime } from '../../test/runtime.ts'
import { expandOnce } from '../broadcasts/expand.ts'
import type { Db } from '../db/db.ts'
import { acceptBroadcast } from '../messages/messages.ts'
import { deleteClicksJob } from './clicks.jobs.ts'
import { listOldClicks } from './clicks.queries.ts'
import { type Click, storeClicks } from './clicks.ts'
import { type LinkId, listLinkIds } from './links.queries.ts'

const now = new Date('2031-03-02T18:00:00Z')
const day = 86_400_000
const api = useApi({ clock: { now: () => now } })
const [ana, ben] = [2065550143, 2065550144]
const ago = (ms: number) => new Date(now.getTime() - ms)

async function track(db: Db, content = 'https://a.example https://b.example') {
  const list = await make.list(db, { accountId: api.owner.accountId, shortCodeId: api.owner.shortCode.id })
  for (const phone of [ana, ben]) await make.subscriber(db, { listId: list.id, phone })
  const { id } = await acceptBroadcast(api.rt, {
    accountId: api.owner.accountId,
    list,
    content,
    linkBase: 'https://l.example',
  })
  while (await expandOnce(api.rt));
  await db.exec('hand_over', 'update message_log set submitted_at = $2 where message_id = $1', [id, ago(1_000 * day)])
  const [first, second] = (await listLinkIds(db, id)) as [LinkId, LinkId]
  return { id, path: `/lists/${list.id}/messages/${id}`, first: first.id, second: second?.id ?? 0 }
}

const clickersOf = (messageId: number) =>
  api.db.many(
    'clickers_of',
    `select phone, link_id as link, click_count as clicks, human_click_count as human, first_clicked_at as first,
            first_human_clicked_at as "firstHuman", last_clicked_at as last
       from clickers where message_id = $1 order by phone, link_id`,
    [messageId],
  )

const run = (rt = api.rt) => deleteClicksJob.run(rt, undefined as never, new AbortController().signal)

describe('what a recipient has clicked', () => {
  test('is counted for each link, with the first and the latest time, in whichever order clicks are stored', async () => {
    const { id, first, second } = await track(api.db)
    const at = (minute: number) => ago(60_000 * (60 - minute))
    const click = (linkId: number, phone: number, minute: number, rule: Click['rule'] = null): Click => {
      return { linkId, phone, clickedAt: at(minute), rule }
    }
    await storeClicks(api.db, [click(first, ana, 12), click(first, ana, 10), click(second, ana, 14, 'head')])
    // an older file is stored later
    await storeClicks(api.db, [
      click(first, ana, 5, 'scanner'),
      click(second, ana, 3),
      click(first, ben, 9, 'scanner'),
      click(first, ben, 7, 'scanner'),
    ])
    expect(await clickersOf(id)).toEqual([
      { phone: ana, link: first, clicks: 3, human: 2, first: at(5), firstHuman: at(10), last: at(12) },
      { phone: ana, link: second, clicks: 2, human: 1, first: at(3), firstHuman: at(3), last: at(14) },
      { phone: ben, link: first, clicks: 2, human: 0, first: at(7), firstHuman: null, last: at(9) },
    ])
  })
})

describe('clicks older than CARILLON_CLICK_DAYS', () => {
  let message: Awaited<ReturnType<typeof track>>
  const counts = async () => (await api.owner.get(message.path)).body.message

  beforeEach(async () => {
    message = await track(api.db)
    const { first, second } = message
    await storeClicks(api.db, [
      { linkId: first, phone: ana, clickedAt: ago(365 * day + 60_000), rule: null },
      { linkId: second, phone: ben, clickedAt: ago(365 * day + 1), rule: 'head' },
      { linkId: first, phone: ana, clickedAt: ago(365 * day), rule: null },
      { linkId: first, phone: ben, clickedAt: ago(day), rule: null },
    ])
  })

  test('are deleted, and the counts by link and by recipient remain', async () => {
    const [shown, clickers] = [await counts(), await clickersOf(message.id)]
    await run()
    expect(await counts()).toEqual(shown)
    expect(shown).toMatchObject({ tracking_links: [{ click_count: 3, unique_click_count: 2 }, { click_count: 1 }] })
    expect(await clickersOf(message.id)).toEqual(clickers)
    const listed = (await api.owner.get(`${message.path}/clicks`)).body
    expect(listed).toMatchObject({ count: 2, clicks: [{ phone_number: String(ben) }, { phone_number: String(ana) }] })
    const { recipients } = (await api.owner.get(`${message.path}/recipients?clicked=any`)).body
    expect(recipients).toMatchObject([
      { click_count: 2, human_click_count: 2 },
      { click_count: 2, human_click_count: 1 },
    ])
  })

  test('do not make a recipient unique again', async () => {
    await run()
    await storeClicks(api.db, [{ linkId: message.second, phone: ben, clickedAt: ago(60_000), rule: null }])
    expect(await counts()).toMatchObject({
      tracking_links: [
        {},
        { click_count: 2, unique_click_count: 1, human_click_count: 1, unique_human_click_count: 1 },
      ],
    })
  })
})

test('old clicks are deleted in slices, by the index of their times, while others of the same link are stored', async () => {
  const database = await freshDatabase()
  try {
    const list = await make.list(database.db)
    const rt = { ...makeRuntime(database), clock: { now: () => now } }
    const { id } = await acceptBroadcast(rt, {
      ...{ accountId: list.accountId, list, content: 'https://a.example', linkBase: 'https://l.example' },
    })
    const [link] = (await listLinkIds(database.db, id)) as [LinkId]
    const clicksAt = (count: number, at: Date): Click[] =>
      Array.from({ length: count }, (_, n) => ({ linkId: link.id, phone: ana + n, clickedAt: at, rule: null }))
    await database.db.tx((tx) => storeClicks(tx, clicksAt(5_000, ago(400 * day))))
    await database.db.tx((tx) => storeClicks(tx, clicksAt(5_000, ago(day))))
    expect((await explain(database, (db) => listOldClicks(db, ago(365 * day), 100))).compared).toBeLessThan(300)
    let transactions = 0
    const counted = new Proxy(database.db, {
      get: (target, name, receiver) => {
        if (name === 'tx') transactions++
        return Reflect.get(target, name, receiver)
      },
    })
    await Promise.all([
      run({ ...api.rt, db: counted }),
      ...Array.from({ length: 5 }, () => database.db.tx((tx) => storeClicks(tx, clicksAt(100, now)))),
    ])
    expect(transactions).toBe(3)
    const kept = await database.db.one(
      'kept',
      `select (select count(*) from clicks) as rows, click_count as clicks, deleted_click_count as deleted,
              unique_click_count as people from links`,
    )
    expect(kept).toEqual({ rows: 5_500, clicks: 10_500, deleted: 5_000, people: 5_000 })
  } finally {
    await database.close()
  }
})
