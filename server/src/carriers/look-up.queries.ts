import type { Db } from '../db/db.ts'
import type { LookUpResult } from './look-up-provider.ts'

export type StoredLookUp = LookUpResult & { lookedUpAt: Date }

/** Returns the latest look-up of a number; undefined if there is none. */
export function findLookUp(db: Db, phone: number) {
  return db.maybeOne<StoredLookUp>(
    'find_look_up',
    /* sql */ `
    select kind, carrier, carrier_name as "carrierName", ported, global_carrier_id as "globalCarrierId",
           global_carrier_name as "globalCarrierName", looked_up_at as "lookedUpAt"
      from number_look_ups where phone = $1`,
    [phone],
  )
}

/** Stores a look-up, except if a later one is stored. */
export function saveLookUp(db: Db, phone: number, lookUp: LookUpResult, at: Date) {
  return db.exec(
    'save_look_up',
    /* sql */ `
    insert into number_look_ups (phone, kind, carrier, carrier_name, ported, global_carrier_id, global_carrier_name,
                                 looked_up_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (phone) do update
       set kind = excluded.kind, carrier = excluded.carrier, carrier_name = excluded.carrier_name,
           ported = excluded.ported, global_carrier_id = excluded.global_carrier_id,
           global_carrier_name = excluded.global_carrier_name, looked_up_at = excluded.looked_up_at
     where number_look_ups.looked_up_at <= excluded.looked_up_at`,
    [
      phone,
      lookUp.kind,
      lookUp.carrier,
      lookUp.carrierName,
      lookUp.ported,
      lookUp.globalCarrierId,
      lookUp.globalCarrierName,
      at,
    ],
  )
}

/** Returns those of the numbers that are landline or unreachable according to their latest look-up. */
export async function listKnownUnreachable(db: Db, phones: number[]): Promise<number[]> {
  const rows = await db.many<{ phone: number }>(
    'list_known_unreachable',
    /* sql */ `
    select phone from number_look_ups where phone = any($1::bigint[]) and kind in ('landline', 'unreachable')`,
    [phones],
  )
  return rows.map((row) => row.phone)
}
