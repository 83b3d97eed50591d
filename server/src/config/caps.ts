// The maximum numbers of what an account, or a list of it, can have at a time. They are far above what an honest account
// needs; they bound what a mistake or an attack leaves behind. CARILLON_CAPS changes them.

/** The default of each cap, and what it counts, as in `At most 100 API keys of an account`. */
export const caps = {
  api_keys: { limit: 100, of: 'API keys of an account' },
  lists: { limit: 10_000, of: 'lists of an account' },
  keywords: { limit: 1_000, of: 'keywords of a list' },
  custom_fields: { limit: 200, of: 'custom fields of a list' },
  webhooks: { limit: 20, of: 'webhooks of a list' },
  drafts: { limit: 10_000, of: 'drafts of an account' },
  scheduled_messages: { limit: 1_000, of: 'scheduled messages of an account' },
  queued_changes: { limit: 1_000, of: 'queued changes of tags and profiles of an account' },
  open_imports: { limit: 100, of: 'open imports of an account' },
  open_replays: { limit: 20, of: 'open replays of an account' },
  open_momt_reports: { limit: 20, of: 'open reports of an account' },
  flight_plans: { limit: 5, of: 'pending flight plans of an account' },
} as const satisfies Record<string, { limit: number; of: string }>

export type CapName = keyof typeof caps
export type AccountCaps = Record<CapName, number>

export const capNames = Object.keys(caps) as CapName[]

/** Returns the default caps with these changes. */
export function capsWith(changes: Partial<AccountCaps>): AccountCaps {
  const defaults = Object.fromEntries(capNames.map((name) => [name, caps[name].limit])) as AccountCaps
  return { ...defaults, ...changes }
}
