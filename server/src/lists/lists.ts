import type { Db } from '../db/db.ts'
import { errors } from '../errors.ts'
import { releaseKeywords } from '../keywords/keywords.queries.ts'
import { attachKeywords } from '../keywords/keywords.ts'
import type { Runtime } from '../runtime.ts'
import { listShortCodes } from '../short-codes/short-codes.queries.ts'
import {
  findList,
  findListForUpdate,
  findListView,
  insertList,
  type List,
  type ListTexts,
  type ListView,
  markListDeleted,
  updateList,
} from './lists.queries.ts'

type Clocked = Pick<Runtime, 'db' | 'clock'>

export type ListChange = Partial<ListTexts>

/** The account's list; a foreign, deleted or unknown one is not found. */
export async function getList(db: Db, accountId: number, listId: number): Promise<List> {
  const list = await findList(db, accountId, listId)
  if (!list) throw errors.listNotFound()
  return list
}

/** As `getList`, with keywords and counts. */
export async function getListView(db: Db, accountId: number, listId: number): Promise<ListView> {
  const list = await findListView(db, accountId, listId)
  if (!list) throw errors.listNotFound()
  return list
}

/** A new list that sends from the account's first short code, with its keywords or not at all. */
export function createList(rt: Clocked, accountId: number, texts: ListTexts, keywords: string[]): Promise<ListView> {
  return rt.db.tx(async (tx) => {
    const [shortCode] = await listShortCodes(tx, accountId)
    if (!shortCode) throw errors.noShortCode()
    const id = await insertList(tx, accountId, shortCode.id, texts, rt.clock.now())
    await attachKeywords(tx, { id, shortCodeId: shortCode.id }, keywords)
    return getListView(tx, accountId, id)
  })
}

/** Changes what the change names, and nothing else. */
export function changeList(rt: Clocked, accountId: number, listId: number, change: ListChange): Promise<ListView> {
  return rt.db.tx(async (tx) => {
    const list = await lockList(tx, accountId, listId)
    await updateList(tx, listId, { ...list, ...change }, rt.clock.now())
    return getListView(tx, accountId, listId)
  })
}

/** The list is gone for everyone who asks; its rows stay, because its people's consent and texts are on record. */
export function deleteList(rt: Clocked, accountId: number, listId: number): Promise<void> {
  return rt.db.tx(async (tx) => {
    await lockList(tx, accountId, listId)
    await releaseKeywords(tx, listId, rt.clock.now())
    await markListDeleted(tx, listId, rt.clock.now())
  })
}

async function lockList(tx: Db, accountId: number, listId: number): Promise<List> {
  const list = await findListForUpdate(tx, accountId, listId)
  if (!list) throw errors.listNotFound()
  return list
}
