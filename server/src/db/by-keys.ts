import type { Db } from './db.ts'

/** The settings of `findByKeys`. */
export const keySettings = {
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  plan_cache_mode: 'force_custom_plan',
  jit: 'off',
}

const setKeySettings = Object.entries(keySettings).map(([name, value]) => `set_config('${name}', '${value}', true)`)

/**
 * Makes PostgreSQL use indexes for the rest of the transaction, with plans for the actual parameters: a plan that was cached
 * while a day or a list was empty would scan the whole table.
 */
export async function findByKeys(tx: Db): Promise<void> {
  await tx.one('find_by_keys', `select ${setKeySettings.join(', ')}`)
}
