import { rejectAtCap } from '../accounts/caps.ts'
import { caps } from '../config/caps.ts'
import { BatchedRead } from '../db/batched-read.ts'
import type { Db } from '../db/db.ts'
import { retryLostRaces } from '../db/retry.ts'
import { errors } from '../errors.ts'
import { attachKeywords, moveKeywords, replaceKeywords } from '../keywords/keywords.ts'
import { type Page, type PageOf, pageOf } from '../lib/paging.ts'
import type { Runtime } from '../runtime.ts'
import { listShortCodes } from '../short-codes/short-codes.queries.ts'
import {
  countLists,
  findList,
  findListForUpdate,
  findListOrDeleted,
  findLists,
  findListView,
  insertList,
  type List,
  type ListKey,
  type ListSettings,
  type ListView,
  listListViews,
  moveToShortCode,
  shareList,
  updateList,
} from './lists.queries.ts'

type Clocked = Pick<Runtime, 'db' | 'clock'>
type Capped = Pick<Runtime, 'db' | 'clock' | 'config'>

export type ListChange = Partial<ListSettings>

/** Returns the account's list; throws if it belongs to another account, is deleted or does not exist. */
export async function getList(db: Db, accountId: number, listId: number): Promise<List> {
  const list = await findList(db, accountId, listId)
  if (!list) throw errors.listNotFound()
  return list
}

/** Returns a function that does what `getList` does, with few statements for many callers. */
export function listReader(db: Db) {
  const lists = new BatchedRead<ListKey, List | undefined>(async (keys) => {
    const found: (List | undefined)[] = keys.map(() => undefined)
    for (const { index, ...list } of await findLists(db, keys)) found[index - 1] = list
    return found
  })
  return async (accountId: number, listId: number): Promise<List> => {
    const list = await lists.read({ accountId, listId })
    if (!list) throw errors.listNotFound()
    return list
  }
}

/** As `getList`, but also returns a deleted list: a person can still be taken off it. */
export async function getListOrDeleted(db: Db, accountId: number, listId: number): Promise<List> {
  const list = await findListOrDeleted(db, accountId, listId)
  if (!list) throw errors.listNotFound()
  return list
}

/** As `getList`, with keywords and counts. */
export async function getListView(db: Db, accountId: number, listId: number): Promise<ListView> {
  const list = await findListView(db, accountId, listId)
  if (!list) throw errors.listNotFound()
  return list
}

/** Returns a page of the account's lists, oldest first, with keywords and counts. */
export function getListPage(db: Db, accountId: number, page: Page): Promise<PageOf<ListView>> {
  return pageOf(countLists(db, accountId), listListViews(db, accountId, page))
}

/**
 * Creates a list with its keywords, or neither if a keyword is taken. The default short code is the account's first
 * one.
 */
export function createList(
  rt: Capped,
  accountId: number,
  settings: ListSettings,
  keywords: string[],
  shortCode?: string,
): Promise<ListView> {
  return rt.db.tx(async (tx) => {
    await rejectAtCap(tx, rt, { name: 'lists', accountId }, () => countLists(tx, accountId))
    const shortCodeId = await chooseShortCode(tx, accountId, shortCode)
    const now = rt.clock.now()
    rejectTooManyKeywords(rt, keywords)
    const id = await insertList(tx, accountId, shortCodeId, settings, now)
    await attachKeywords(tx, { id, shortCodeId }, keywords, now)
    return getListView(tx, accountId, id)
  })
}

/**
 * Changes the given settings. If the list moves to another short code, its keywords move too; throws if one is taken
 * there.
 */
export function changeList(
  rt: Clocked,
  accountId: number,
  listId: number,
  change: ListChange,
  shortCode?: string,
): Promise<ListView> {
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => {
      const list = await lockList(tx, accountId, listId)
      const now = rt.clock.now()
      await updateList(tx, listId, { ...list, ...change }, now)
      if (shortCode !== undefined) {
        const shortCodeId = await chooseShortCode(tx, accountId, shortCode)
        if (shortCodeId !== list.shortCodeId) {
          await moveToShortCode(tx, listId, shortCodeId)
          await moveKeywords(tx, { id: listId, shortCodeId }, now)
        }
      }
      return getListView(tx, accountId, listId)
    }),
  )
}

/** Replaces the list's keywords, all of them or none, and returns them as they are stored. */
export async function changeKeywords(
  rt: Capped,
  accountId: number,
  listId: number,
  given: string[],
): Promise<string[]> {
  rejectTooManyKeywords(rt, given)
  // two lists that swap words can deadlock
  return retryLostRaces(() =>
    rt.db.tx(async (tx) => replaceKeywords(tx, await lockList(tx, accountId, listId), given, rt.clock.now())),
  )
}

/** Throws a 422 for more keywords than a list can have; they are always given all at once. */
function rejectTooManyKeywords({ config }: Capped, given: string[]): void {
  const limit = config.caps.keywords
  if (given.length > limit) throw errors.capReached('keywords', limit, caps.keywords.of)
}

/** Returns the id of the account's short code with this name, or of its first one; throws if there is none. */
async function chooseShortCode(tx: Db, accountId: number, code: string | undefined): Promise<number> {
  const shortCodes = await listShortCodes(tx, accountId)
  const chosen = code === undefined ? shortCodes[0] : shortCodes.find((shortCode) => shortCode.code === code)
  if (chosen) return chosen.id
  if (code === undefined) throw errors.noShortCode()
  throw errors.invalid({ 'list.short_code': ['is not one of the account'] })
}

/**
 * Prevents the deletion of a list before the transaction ends, because deleting it stops only messages that have
 * started; throws if it is already deleted.
 */
export async function holdListOpen(tx: Db, listId: number): Promise<void> {
  if (!(await shareList(tx, listId))) throw errors.listNotFound()
}

/** As `getList`, and locks the list: no other transaction changes or deletes it before this one ends. */
export async function lockList(tx: Db, accountId: number, listId: number): Promise<List> {
  const list = await findListForUpdate(tx, accountId, listId)
  if (!list) throw errors.listNotFound()
  return list
}
