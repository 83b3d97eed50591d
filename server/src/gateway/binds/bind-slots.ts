import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import {
  claimSlots,
  type OwnedSlot,
  releaseSlots,
  renewSlots,
  type SlotKey,
  syncSlots,
} from '../../connections/bind-slots.queries.ts'
import type { Db } from '../../db/db.ts'
import { wake } from '../../db/wake.ts'
import { timing } from '../timing.ts'
import type { Line } from './bind-group.ts'

const { slotReleaseMs } = timing

export type SlotsOptions = { db: Db; log: Logger; gateway: string; leaseMs: number; lines: ReadonlyMap<number, Line> }

/** A slot that we cannot bind for so many leases is left for others to try, and for as many it is theirs. */
const fruitlessLeases = 2

/**
 * Leases this gateway's fair share of the slots of all connections, renews the leases, and gives up, in order, what is
 * more than that share.
 */
export class Slots {
  readonly #options: SlotsOptions
  // on their way back: still leased, until their binds are closed
  readonly #leaving = new Map<string, SlotKey>()
  readonly #handingBack = new Set<Promise<void>>()
  // whether there were others to leave slots to, when last asked
  #isShared = false
  // connections whose slots we could not bind as they are set, and since when others have the first try
  readonly #fruitless = new Map<number, { since: number; version: number }>()

  constructor(options: SlotsOptions) {
    this.#options = options
  }

  /** There may be slots that have no row yet. */
  async make(): Promise<void> {
    await syncSlots(this.#options.db)
  }

  /** Renews what is ours and takes what is due to us; to be called every fifth of a lease, and when anything changes. */
  async turn(): Promise<void> {
    const { lines } = this.#options
    await this.#renew()
    const now = performance.now()
    const wanting = [...lines.values()].filter((line) => line.connection.enabled && !this.#isFruitless(line, now))
    await this.#take(wanting)
    for (const line of lines.values()) {
      if (!line.connection.enabled) this.#giveUp(line, 0)
    }
  }

  /** Gives all slots up, and resolves when they are given back. */
  async stop(): Promise<void> {
    for (const line of this.#options.lines.values()) this.#giveUp(line, 0)
    await Promise.all(this.#handingBack)
  }

  async #renew(): Promise<void> {
    const { db, gateway, leaseMs, lines, log } = this.#options
    const owned: OwnedSlot[] = []
    for (const line of lines.values()) {
      for (const { slot, bound, lastError } of line.slots) {
        owned.push({ connectionId: line.connection.id, slot, bound, lastError: lastError?.slice(0, 500) ?? null })
      }
    }
    for (const slot of this.#leaving.values()) owned.push({ ...slot, bound: false, lastError: null })
    if (owned.length === 0) return
    const asked = performance.now()
    const ours = new Set((await renewSlots(db, gateway, leaseMs, owned)).map(keyOf))
    for (const line of lines.values()) {
      for (const bind of [...line.slots]) {
        const key = keyOf({ connectionId: line.connection.id, slot: bind.slot })
        if (ours.has(key)) bind.leaseUntil = asked + leaseMs
        // taken or made while we asked
        else if (owned.some((slot) => keyOf(slot) === key)) {
          log.warn({ connection: line.connection.name, slot: bind.slot }, 'lost a bind slot to another gateway')
          line.lose(bind.slot)
        }
      }
    }
  }

  async #take(wanting: Line[]): Promise<void> {
    if (wanting.length === 0) return
    const { db, gateway, leaseMs } = this.#options
    const asked = performance.now()
    const ids = wanting.map((line) => line.connection.id)
    for (const { connectionId, share, shared, taken } of await claimSlots(db, gateway, leaseMs, ids)) {
      this.#isShared = shared
      const line = wanting.find((each) => each.connection.id === connectionId)
      if (!line) continue
      for (const slot of taken) {
        if (!this.#leaving.has(keyOf({ connectionId, slot }))) line.take(slot, asked + leaseMs)
      }
      this.#giveUp(line, Math.min(share, line.connection.slots))
    }
  }

  /** Gives up what is more than so many slots, and those that the connection no longer has. */
  #giveUp(line: Line, share: number): void {
    const surplus = [...line.slots]
      .map((bind) => bind.slot)
      .sort((a, b) => a - b)
      .filter((slot, n) => n >= share || slot >= line.connection.slots)
    for (const slot of surplus) {
      const key = { connectionId: line.connection.id, slot }
      const handing: Promise<void> = this.#handBack(line, key).finally(() => this.#handingBack.delete(handing))
      this.#handingBack.add(handing)
    }
  }

  async #handBack(line: Line, slot: SlotKey): Promise<void> {
    const { db, gateway, log } = this.#options
    this.#leaving.set(keyOf(slot), slot)
    await line.giveUp(slot.slot)
    this.#leaving.delete(keyOf(slot))
    try {
      await Promise.race([releaseSlots(db, gateway, [slot]), delay(slotReleaseMs, undefined, { ref: false })])
      if (slot.slot >= line.connection.slots) await syncSlots(db)
      await wake(db, 'connections')
    } catch (error) {
      log.warn({ err: error }, 'could not give a bind slot back; its lease will run out')
    }
  }

  /** Whether others should try: we have had slots of this connection for long, and none of them would bind. */
  #isFruitless(line: Line, now: number): boolean {
    const patienceMs = fruitlessLeases * this.#options.leaseMs
    const { id, version } = line.connection
    const given = this.#fruitless.get(id)
    if (given?.version === version && now - given.since < patienceMs) return true
    this.#fruitless.delete(id)
    const slots = [...line.slots]
    if (!this.#isShared || slots.length === 0) return false
    if (slots.some((bind) => bind.bound || now - bind.lastBoundAt < patienceMs)) return false
    this.#fruitless.set(id, { since: now, version })
    this.#giveUp(line, 0)
    return true
  }
}

const keyOf = ({ connectionId, slot }: SlotKey) => `${connectionId}:${slot}`
