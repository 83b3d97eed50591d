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

/** If no slot of a connection can be bound for this many leases, this gateway claims none for as many leases. */
const maxUnboundLeases = 2

/**
 * Leases this gateway's fair share of the bind slots of all connections, renews the leases, and releases surplus slots after
 * their binds are closed.
 */
export class BindSlots {
  readonly #options: BindSlotsOptions
  // slots to be released: still leased, until their binds are closed
  readonly #closing = new Map<string, SlotKey>()
  readonly #releases = new Set<Promise<void>>()
  // whether another gateway could have claimed slots at the last claim
  #isShared = false
  // by connection: when this gateway stopped claiming its slots because it could not bind them with this version of the settings
  readonly #yielded = new Map<number, { since: number; version: number }>()

  constructor(options: BindSlotsOptions) {
    this.#options = options
  }

  /** Inserts missing rows of bind slots. */
  async insertMissing(): Promise<void> {
    await syncSlots(this.#options.db)
  }

  /** Renews the leases of our slots and claims our share of the others; called every fifth of a lease and after any change. */
  async sync(): Promise<void> {
    const { groups } = this.#options
    await this.#renew()
    const now = performance.now()
    const claiming = [...groups.values()].filter((group) => group.connection.enabled && !this.#yields(group, now))
    await this.#claim(claiming)
    for (const group of groups.values()) {
      if (!group.connection.enabled) this.#releaseSurplus(group, 0)
    }
  }

  /** Closes all binds; resolves when their slots are released. */
  async stop(): Promise<void> {
    for (const group of this.#options.groups.values()) this.#releaseSurplus(group, 0)
    await Promise.all(this.#releases)
  }

  async #renew(): Promise<void> {
    const { db, gateway, leaseMs, groups, log } = this.#options
    const owned: OwnedSlot[] = []
    for (const group of groups.values()) {
      for (const { slot, bound, lastError } of group.slots) {
        owned.push({ connectionId: group.connection.id, slot, bound, lastError: lastError?.slice(0, 500) ?? null })
      }
    }
    for (const slot of this.#closing.values()) owned.push({ ...slot, bound: false, lastError: null })
    if (owned.length === 0) return
    const startedAt = performance.now()
    const renewed = new Set((await renewSlots(db, gateway, leaseMs, owned)).map(keyOf))
    for (const group of groups.values()) {
      for (const bind of [...group.slots]) {
        const key = keyOf({ connectionId: group.connection.id, slot: bind.slot })
        if (renewed.has(key)) bind.leaseUntil = startedAt + leaseMs
        // slots that were added while the statement ran are not lost
        else if (owned.some((slot) => keyOf(slot) === key)) {
          log.warn({ connection: group.connection.name, slot: bind.slot }, 'lost a bind slot to another gateway')
          group.dropSlot(bind.slot)
        }
      }
    }
  }

  async #claim(claiming: BindGroup[]): Promise<void> {
    if (claiming.length === 0) return
    const { db, gateway, leaseMs } = this.#options
    const startedAt = performance.now()
    const ids = claiming.map((group) => group.connection.id)
    for (const { connectionId, share, shared, claimed } of await claimSlots(db, gateway, leaseMs, ids)) {
      this.#isShared = shared
      const group = claiming.find((each) => each.connection.id === connectionId)
      if (!group) continue
      for (const slot of claimed) {
        if (!this.#closing.has(keyOf({ connectionId, slot }))) group.addSlot(slot, startedAt + leaseMs)
      }
      this.#releaseSurplus(group, Math.min(share, group.connection.slots))
    }
  }

  /** Starts to release the slots beyond this share, and those that the connection no longer has. */
  #releaseSurplus(group: BindGroup, share: number): void {
    const surplus = [...group.slots]
      .map((bind) => bind.slot)
      .sort((a, b) => a - b)
      .filter((slot, n) => n >= share || slot >= group.connection.slots)
    for (const slot of surplus) {
      const key = { connectionId: group.connection.id, slot }
      const release: Promise<void> = this.#release(group, key).finally(() => this.#releases.delete(release))
      this.#releases.add(release)
    }
  }

  async #release(group: BindGroup, slot: SlotKey): Promise<void> {
    const { db, gateway, log } = this.#options
    this.#closing.set(keyOf(slot), slot)
    await group.closeSlot(slot.slot)
    this.#closing.delete(keyOf(slot))
    try {
      await Promise.race([releaseSlots(db, gateway, [slot]), delay(slotReleaseMs, undefined, { ref: false })])
      if (slot.slot >= group.connection.slots) await syncSlots(db)
      await wake(db, 'connections')
    } catch (error) {
      log.warn({ err: error }, 'failed to release a bind slot, its lease runs out')
    }
  }

  /**
   * Whether this gateway should not claim slots of this connection for a while, so that other gateways try to bind them: it could
   * bind none of its own for `maxUnboundLeases`. Releases its slots at the first such call.
   */
  #yields(group: BindGroup, now: number): boolean {
    const maxUnboundMs = maxUnboundLeases * this.#options.leaseMs
    const { id, version } = group.connection
    const yielded = this.#yielded.get(id)
    if (yielded?.version === version && now - yielded.since < maxUnboundMs) return true
    this.#yielded.delete(id)
    const slots = [...group.slots]
    if (!this.#isShared || slots.length === 0) return false
    if (slots.some((bind) => bind.bound || now - bind.lastBoundAt < maxUnboundMs)) return false
    this.#yielded.set(id, { since: now, version })
    this.#releaseSurplus(group, 0)
    return true
  }
}

const keyOf = ({ connectionId, slot }: SlotKey) => `${connectionId}:${slot}`
