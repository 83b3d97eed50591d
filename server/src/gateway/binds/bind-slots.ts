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
import type { BindGroup } from './bind-group.ts'

const { slotReleaseMs } = timing

export type BindSlotsOptions = {
  db: Db
  log: Logger
  gateway: string
  leaseMs: number
  groups: ReadonlyMap<number, BindGroup>
}

/** A bind slot that cannot be bound for this many leases is left to other gateways, for as many leases. */
const fruitlessLeases = 2

/**
 * Leases this gateway's fair share of the bind slots of all connections, renews the leases, and gives up the surplus in order.
 */
export class BindSlots {
  readonly #options: BindSlotsOptions
  // being given up: still leased, until their binds are closed
  readonly #leaving = new Map<string, SlotKey>()
  readonly #releasing = new Set<Promise<void>>()
  // whether other gateways could take slots, when last claimed
  #isShared = false
  // connections whose slots could not be bound with these settings, and since when other gateways have the first try
  readonly #fruitless = new Map<number, { since: number; version: number }>()

  constructor(options: BindSlotsOptions) {
    this.#options = options
  }

  /** Inserts the rows of bind slots that have none yet. */
  async make(): Promise<void> {
    await syncSlots(this.#options.db)
  }

  /** Renews our slots and claims those that are due to us; called every fifth of a lease, and after any change. */
  async turn(): Promise<void> {
    const { groups } = this.#options
    await this.#renew()
    const now = performance.now()
    const wanting = [...groups.values()].filter((group) => group.connection.enabled && !this.#cannotBind(group, now))
    await this.#take(wanting)
    for (const group of groups.values()) {
      if (!group.connection.enabled) this.#releaseSurplus(group, 0)
    }
  }

  /** Gives all slots up, and resolves when they are released. */
  async stop(): Promise<void> {
    for (const group of this.#options.groups.values()) this.#releaseSurplus(group, 0)
    await Promise.all(this.#releasing)
  }

  async #renew(): Promise<void> {
    const { db, gateway, leaseMs, groups, log } = this.#options
    const owned: OwnedSlot[] = []
    for (const group of groups.values()) {
      for (const { slot, bound, lastError } of group.slots) {
        owned.push({ connectionId: group.connection.id, slot, bound, lastError: lastError?.slice(0, 500) ?? null })
      }
    }
    for (const slot of this.#leaving.values()) owned.push({ ...slot, bound: false, lastError: null })
    if (owned.length === 0) return
    const asked = performance.now()
    const ours = new Set((await renewSlots(db, gateway, leaseMs, owned)).map(keyOf))
    for (const group of groups.values()) {
      for (const bind of [...group.slots]) {
        const key = keyOf({ connectionId: group.connection.id, slot: bind.slot })
        if (ours.has(key)) bind.leaseUntil = asked + leaseMs
        // claimed or inserted during the statement
        else if (owned.some((slot) => keyOf(slot) === key)) {
          log.warn({ connection: group.connection.name, slot: bind.slot }, 'lost a bind slot to another gateway')
          group.lose(bind.slot)
        }
      }
    }
  }

  async #take(wanting: BindGroup[]): Promise<void> {
    if (wanting.length === 0) return
    const { db, gateway, leaseMs } = this.#options
    const asked = performance.now()
    const ids = wanting.map((group) => group.connection.id)
    for (const { connectionId, share, shared, claimed } of await claimSlots(db, gateway, leaseMs, ids)) {
      this.#isShared = shared
      const group = wanting.find((each) => each.connection.id === connectionId)
      if (!group) continue
      for (const slot of claimed) {
        if (!this.#leaving.has(keyOf({ connectionId, slot }))) group.take(slot, asked + leaseMs)
      }
      this.#releaseSurplus(group, Math.min(share, group.connection.slots))
    }
  }

  /** Gives up slots beyond this share, and those that the connection no longer has. */
  #releaseSurplus(group: BindGroup, share: number): void {
    const surplus = [...group.slots]
      .map((bind) => bind.slot)
      .sort((a, b) => a - b)
      .filter((slot, n) => n >= share || slot >= group.connection.slots)
    for (const slot of surplus) {
      const key = { connectionId: group.connection.id, slot }
      const releasing: Promise<void> = this.#release(group, key).finally(() => this.#releasing.delete(releasing))
      this.#releasing.add(releasing)
    }
  }

  async #release(group: BindGroup, slot: SlotKey): Promise<void> {
    const { db, gateway, log } = this.#options
    this.#leaving.set(keyOf(slot), slot)
    await group.unbind(slot.slot)
    this.#leaving.delete(keyOf(slot))
    try {
      await Promise.race([releaseSlots(db, gateway, [slot]), delay(slotReleaseMs, undefined, { ref: false })])
      if (slot.slot >= group.connection.slots) await syncSlots(db)
      await wake(db, 'connections')
    } catch (error) {
      log.warn({ err: error }, 'failed to release a bind slot, its lease runs out')
    }
  }

  /** Whether other gateways should try: none of our slots of this connection has been bound for long. */
  #cannotBind(group: BindGroup, now: number): boolean {
    const maxFruitlessMs = fruitlessLeases * this.#options.leaseMs
    const { id, version } = group.connection
    const given = this.#fruitless.get(id)
    if (given?.version === version && now - given.since < maxFruitlessMs) return true
    this.#fruitless.delete(id)
    const slots = [...group.slots]
    if (!this.#isShared || slots.length === 0) return false
    if (slots.some((bind) => bind.bound || now - bind.lastBoundAt < maxFruitlessMs)) return false
    this.#fruitless.set(id, { since: now, version })
    this.#releaseSurplus(group, 0)
    return true
  }
}

const keyOf = ({ connectionId, slot }: SlotKey) => `${connectionId}:${slot}`
