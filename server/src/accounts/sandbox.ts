import type { Db } from '../db/db.ts'
import { makeKey, storedKeyOf } from './api-keys.ts'
import {
  findAccountOfKey,
  findSandboxKey,
  insertAccount,
  insertList,
  insertSandboxKey,
  insertShortCode,
  insertSubscribers,
  lockSandbox,
  updateEmail,
} from './sandbox.queries.ts'

const shortCode = '88222'

/** The last four digits choose the fate of a text in the simulator: most are delivered, 0106 replies STOP. */
const phones = [2065550102, 2065550106, 2065550108, 2065550111, 2065550112, 2065550113]

export type Sandbox = {
  email: string
  /** The key, if it was given or has just been generated; otherwise undefined, because the database stores only its hash. */
  apiKey: string | undefined
  listId: number
  shortCode: string
}

/**
 * Creates the sandbox's account, key, short code and list with a few subscribers, if they do not exist. If no key is given,
 * it generates one at the first start.
 */
export function seedSandbox(db: Db, given: { email: string; apiKey?: string }, now: Date): Promise<Sandbox> {
  return db.tx(async (tx) => {
    await lockSandbox(tx)
    const account = await seedAccount(tx, given, now)
    const apiKey = await seedKey(tx, account.id, given.apiKey, now)
    const sender = await insertShortCode(tx, account.id, shortCode, now)
    const list = await insertList(
      tx,
      { accountId: account.id, shortCodeId: sender.id, name: 'Carillon sandbox', texts },
      now,
    )
    if (list.isNew) await insertSubscribers(tx, account.id, list.id, phones, now)
    return { email: account.email, apiKey, listId: list.id, shortCode: sender.code }
  })
}

const texts = {
  messageYes: 'Carillon sandbox: reply YES to get our texts. Msg & data rates may apply. HELP for help, STOP to quit.',
  messageHelp: 'Carillon sandbox: this is a test. Nobody pays for it. Reply STOP to quit.',
  messageStop: 'Carillon sandbox: you are out and will get no more texts from us.',
  messageReply: 'Carillon sandbox: thank you, we have read it.',
  messageAlreadySubscribed: 'Carillon sandbox: you are in already. Reply STOP to quit.',
  firstOptinMessage: 'Carillon sandbox: you are in! Reply HELP for help, STOP to quit.',
  secondOptinMessage: 'Carillon sandbox: good to have you back! Reply HELP for help, STOP to quit.',
}

/** Finds the account by its key first, so that a changed CARILLON_SANDBOX_EMAIL renames the account without losing its lists. */
async function seedAccount(tx: Db, { email, apiKey }: { email: string; apiKey?: string }, now: Date) {
  const known = apiKey === undefined ? undefined : await findAccountOfKey(tx, storedKeyOf(apiKey).hash)
  if (known === undefined) return insertAccount(tx, email, now)
  if (known.email !== email) await updateEmail(tx, known.id, email)
  return { id: known.id, email }
}

async function seedKey(tx: Db, accountId: number, given: string | undefined, now: Date): Promise<string | undefined> {
  if (given === undefined && (await findSandboxKey(tx, accountId))) return undefined
  const key = given ?? makeKey()
  await insertSandboxKey(tx, accountId, storedKeyOf(key), now)
  return key
}
