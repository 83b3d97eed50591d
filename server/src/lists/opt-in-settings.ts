import type { Runtime } from '../runtime.ts'
import type { ListView } from './lists.queries.ts'
import { getListView, lockList } from './lists.ts'
import {
  type OptInRequest,
  type OptInSettings,
  replaceOptInRequests,
  updateOptInSettings,
} from './opt-in-settings.queries.ts'

export type OptInChange = OptInSettings & {
  /** Undefined does not change the stored steps. */
  requests: OptInRequest[] | undefined
}

/**
 * Changes the opt-in settings of a list. A change to single opt-in does not delete the stored steps of double opt-in.
 */
export function changeOptInSettings(
  rt: Pick<Runtime, 'db' | 'clock'>,
  accountId: number,
  listId: number,
  { requests, ...settings }: OptInChange,
): Promise<ListView> {
  return rt.db.tx(async (tx) => {
    await lockList(tx, accountId, listId)
    const now = rt.clock.now()
    await updateOptInSettings(tx, listId, settings, now)
    if (requests) await replaceOptInRequests(tx, listId, requests, now)
    return getListView(tx, accountId, listId)
  })
}
