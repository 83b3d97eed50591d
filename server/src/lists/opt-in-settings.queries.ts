import type { Db } from '../db/db.ts'

/** A step of double opt-in as its owner wrote it. */
export type OptInRequest = {
  collectedData: 'zip_code' | 'email_address' | 'first_name' | 'yes'
  requestMessage: string | null
  retryMessage: string | null
  followUp: boolean
  followUpHour: number | null
  noResponseMessage: string | null
  successAction: 'nextrequest' | 'optinsubscriber' | null
  optInMessage: string | null
  secondOptInMessage: string | null
  bypassOptInResponse: boolean
}

/** A stored step. PostgreSQL returns it as JSON, so its times are strings. */
export type OptInRequestRow = OptInRequest & { id: number; listId: number; createdAt: string; updatedAt: string }

export type OptInSettings = {
  optInType: 'single' | 'double'
  bypassOptInResponse: boolean
  /** Undefined does not change the stored text, here and below. */
  firstOptinMessage: string | undefined
  secondOptinMessage: string | undefined
}

export function updateOptInSettings(tx: Db, listId: number, settings: OptInSettings, now: Date) {
  return tx.exec(
    'update_opt_in_settings',
    /* sql */ `
    update lists
       set opt_in_type = $2, bypass_opt_in_response = $3, first_optin_message = coalesce($4, first_optin_message),
           second_optin_message = coalesce($5, second_optin_message), updated_at = $6
     where id = $1`,
    [
      listId,
      settings.optInType,
      settings.bypassOptInResponse,
      settings.firstOptinMessage ?? null,
      settings.secondOptinMessage ?? null,
      now,
    ],
  )
}

/** Replaces the steps of the list. */
export async function replaceOptInRequests(tx: Db, listId: number, requests: OptInRequest[], now: Date) {
  await tx.exec('delete_opt_in_requests', /* sql */ `delete from opt_in_requests where list_id = $1`, [listId])
  await tx.exec(
    'insert_opt_in_requests',
    /* sql */ `
    insert into opt_in_requests (list_id, step_number, collected_data, request_message, retry_message, follow_up,
                                 follow_up_hour, no_response_message, success_action, opt_in_message,
                                 second_opt_in_message, bypass_opt_in_response, created_at, updated_at)
    select $1, n, step ->> 'collectedData', step ->> 'requestMessage', step ->> 'retryMessage',
           (step ->> 'followUp')::boolean, (step ->> 'followUpHour')::smallint, step ->> 'noResponseMessage',
           step ->> 'successAction', step ->> 'optInMessage', step ->> 'secondOptInMessage',
           (step ->> 'bypassOptInResponse')::boolean, $3, $3
      from json_array_elements($2) with ordinality as steps (step, n)
     order by n`,
    [listId, JSON.stringify(requests), now],
  )
}

/** SQL for the steps of list `l` in order, as JSON. */
export const optInRequestsOfList = /* sql */ `(
  select coalesce(json_agg(json_build_object(
           'id', r.id, 'listId', r.list_id, 'collectedData', r.collected_data, 'requestMessage', r.request_message,
           'retryMessage', r.retry_message, 'followUp', r.follow_up, 'followUpHour', r.follow_up_hour,
           'noResponseMessage', r.no_response_message, 'successAction', r.success_action,
           'optInMessage', r.opt_in_message, 'secondOptInMessage', r.second_opt_in_message,
           'bypassOptInResponse', r.bypass_opt_in_response, 'createdAt', r.created_at, 'updatedAt', r.updated_at)
         order by r.step_number), '[]')
    from opt_in_requests r where r.list_id = l.id)`
