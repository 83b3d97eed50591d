import type { Db } from '../db/db.ts'
import { makeKey, traceOf } from './api-keys.ts'
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

/** Their last four digits choose what becomes of a text to them: most simply get it, 0106 answers STOP. */
const phones = [2065550102, 2065550106, 2065550108, 2065550111, 2065550112, 2065550113]

export type Sandbox = {
  email: string
  /** Only when it was given or has just been made; the database does not know it any more. */
  apiKey: string | undefined
  listId: number
  shortCode: string
}

/**
 * Sees to it that the sandbox has an account, a key, a short code and a list with a few subscribers, and touches nothing
 * that is there already. Without a key, one is made the first time.
 */
export function seedSandbox(db: Db, given: { email: string; apiKey?: string }): Promise<Sandbox> {
  return db.tx(async (tx) => {
    await lockSandbox(tx)
    const account = await seedAccount(tx, given)
    const apiKey = await seedKey(tx, account.id, given.apiKey)
    const sender = await insertShortCode(tx, account.id, shortCode)
    const list = await insertList(tx, account.id, sender.id, 'Carillon sandbox', texts)
    if (list.isNew) await insertSubscribers(tx, account.id, list.id, phones)
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

/** A key brings its account along, so that another CARILLON_SANDBOX_EMAIL renames the account and does not leave it. */
async function seedAccount(tx: Db, { email, apiKey }: { email: string; apiKey?: string }) {
  const known = apiKey === undefined ? undefined : await findAccountOfKey(tx, traceOf(apiKey).hash)
  if (known === undefined) return insertAccount(tx, email)
  if (known.email !== email) await updateEmail(tx, known.id, email)
  return { id: known.id, email }
}

async function seedKey(tx: Db, accountId: number, given: string | undefined): Promise<string | undefined> {
  if (given === undefined && (await findSandboxKey(tx, accountId))) return undefined
  const key = given ?? makeKey()
  await insertSandboxKey(tx, accountId, traceOf(key))
  return key
}
