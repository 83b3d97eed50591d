import type { Arrival, EventReceiver } from './event-receiver.ts'
import type { EventWorld, FeedEvent, Kill } from './event-world.ts'

// Compares the changes of consent with the feed, and the feed with what the receivers got.

const kinds = { opt_in: 'subscribe', opt_out: 'unsubscribe', cleaned: 'cleaned' }

/** Returns the broken promises of webhooks and the feed, one sentence each. All deliveries must have ended. */
export async function checkEvents(world: EventWorld): Promise<string[]> {
  const feed = await world.readFromStart()
  const callbacks = feed.filter(({ event }) => event.type.startsWith('transactional_message_'))
  const ofList = feed.filter((event) => !callbacks.includes(event))
  return [
    ...(await checkFeed(world, feed)),
    ...checkMessages(world, feed, await world.unknownMessages()),
    ...world.receivers.flatMap((receiver) => checkArrivals(receiver, ofList, world.kills)),
    ...checkArrivals(world.callbacks, callbacks, world.kills),
  ].slice(0, 40)
}

async function checkFeed(world: EventWorld, feed: FeedEvent[]): Promise<string[]> {
  const faults: string[] = []
  // there is one account, so all positions are its own
  const last = await world.lastPosition()
  feed.forEach(({ position }, n) => {
    if (position !== n + 1) faults.push(`feed: the event ${n + 1} has the position ${position}`)
  })
  if (feed.length !== last) faults.push(`feed: ${feed.length} events, and the last position is ${last}`)
  if (JSON.stringify(world.read) !== JSON.stringify(feed)) {
    const missing = feed.filter(({ position }) => !world.read.some((event) => event.position === position))
    faults.push(`feed: the reader has read ${world.read.length} other events, and missed ${missing.map(positionOf)}`)
  }
  const reported = new Map<unknown, string[]>()
  const typesByPhone = new Map<number, string[]>()
  for (const { event } of feed) {
    if (!('opt_id' in event) || event.type === 'campaign_response') continue
    reported.set(event.opt_id, [...(reported.get(event.opt_id) ?? []), event.type])
    const phone = Number(event.phone_number)
    typesByPhone.set(phone, [...(typesByPhone.get(phone) ?? []), event.type])
  }
  const opts = await world.withClient(
    async (client) =>
      (
        await client.query<{ id: string; kind: keyof typeof kinds }>(
          `select id, kind from opts where list_id = $1 and kind = any($2) order by id`,
          [world.listId, Object.keys(kinds)],
        )
      ).rows,
  )
  for (const { id, kind } of opts) {
    const types = reported.get(Number(id)) ?? []
    reported.delete(Number(id))
    if (String(types) !== kinds[kind]) faults.push(`feed: the row ${id} of opts (${kind}) has the events [${types}]`)
  }
  for (const id of reported.keys()) faults.push(`feed: an event has the opt_id ${id}, which is not in opts`)
  for (const [phone, types] of world.expected) {
    const found = typesByPhone.get(phone) ?? []
    if (String(found) !== String(types)) faults.push(`feed: ${phone} has the events [${found}] instead of [${types}]`)
  }
  return faults
}

/** Each message whose result is known has exactly one event. */
function checkMessages({ broadcasts, transactional }: EventWorld, feed: FeedEvent[], unknown: Set<number>): string[] {
  const faults: string[] = []
  for (const id of broadcasts) {
    const count = feed.filter(({ event }) => event.type === 'message_sent' && event.message_id === id).length
    if (count > 1 || (count === 0 && !unknown.has(id))) faults.push(`feed: ${count} events of the broadcast ${id}`)
  }
  for (const id of transactional) {
    const results = feed.filter(({ event }) => event.transactional_message_id === id).map(({ event }) => event.status)
    const isCorrect = String(results) === 'delivered' || (results.length === 0 && unknown.has(id))
    if (!isCorrect) faults.push(`feed: the results of the transactional message ${id} are [${results}]`)
  }
  return faults
}

/** Compares what arrived with the events that must have arrived: each at least once, and again only after a failure or a kill. */
function checkArrivals(receiver: EventReceiver, events: FeedEvent[], kills: readonly Kill[]): string[] {
  const { name, arrivals } = receiver
  const faults = [...receiver.faults]
  const bodies = new Map(events.map(({ position, event }) => [position, { event, body: JSON.stringify(event) }]))
  const lastArrivals = new Map<number, Arrival>()
  const lastByPhone = new Map<unknown, number>()
  for (const arrival of arrivals) {
    const { id, position, body, at } = arrival
    const known = bodies.get(position)
    if (!known) faults.push(`${name}: ${id} is not among its events`)
    else if (JSON.stringify(JSON.parse(body)) !== known.body)
      faults.push(`${name}: ${id} has another body than in the feed`)
    const before = lastArrivals.get(position)
    lastArrivals.set(position, arrival)
    if (before !== undefined) {
      const isAfterKill = kills.some(({ from, to }) => to >= before.at && from <= at)
      if (!isAfterKill && !before.isFailure) faults.push(`${name}: ${id} arrived twice without a kill between`)
      continue
    }
    const phone = known?.event.phone_number
    if (phone === undefined) continue
    const previous = lastByPhone.get(phone) ?? 0
    if (previous > position) faults.push(`${name}: ${id} arrived after evt_${previous} of the same phone`)
    lastByPhone.set(phone, position)
  }
  const acknowledged = new Set(arrivals.filter((arrival) => arrival.isAcknowledged).map(positionOf))
  const missing = events.map(positionOf).filter((position) => !acknowledged.has(position))
  if (missing.length > 0) faults.push(`${name}: ${missing.length} events were never received: ${missing}`)
  return faults
}

const positionOf = ({ position }: { position: number }) => position
