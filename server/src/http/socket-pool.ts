/** Sockets by owner (an address or an account), each owner's in the order of their last use. */
export class SocketPool<Owner, Member> {
  readonly #byOwner = new Map<Owner, Set<Member>>()
  /** The owners by their number of members, because thousands of owners cannot be searched for each new socket. */
  readonly #bySize = new Map<number, Set<Owner>>()
  #largest = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Adds a member of the owner as the one that was used last, or makes it that. */
  renew(owner: Owner, member: Member): void {
    let members = this.#byOwner.get(owner)
    if (!members) {
      members = new Set()
      this.#byOwner.set(owner, members)
    }
    const isNew = !members.delete(member)
    members.add(member)
    if (isNew) this.#resize(owner, members.size - 1, members.size)
  }

  remove(owner: Owner, member: Member): void {
    const members = this.#byOwner.get(owner)
    if (!members?.delete(member)) return
    if (members.size === 0) this.#byOwner.delete(owner)
    this.#resize(owner, members.size + 1, members.size)
  }

  /** Returns the members of the owner that has the most, the one that was used first in front. */
  largest(): ReadonlySet<Member> {
    const [owner] = this.#bySize.get(this.#largest) ?? []
    return (owner !== undefined && this.#byOwner.get(owner)) || new Set()
  }

  /** Moves an owner to the others of its new size, which differs by one. */
  #resize(owner: Owner, from: number, to: number): void {
    this.#size += to - from
    const previous = this.#bySize.get(from)
    previous?.delete(owner)
    if (previous?.size === 0) this.#bySize.delete(from)
    if (to > 0) {
      const owners = this.#bySize.get(to)
      if (owners) owners.add(owner)
      else this.#bySize.set(to, new Set([owner]))
    }
    if (to > this.#largest || (from === this.#largest && !this.#bySize.has(from))) this.#largest = to
  }
}
