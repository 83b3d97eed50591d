/** Sockets by owner (an address or an account), each owner's in the order of their last use. */
export class SocketPool<Owner, Member> {
  readonly #byOwner = new Map<Owner, Set<Member>>()
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
    if (!members.delete(member)) this.#size++
    members.add(member)
  }

  remove(owner: Owner, member: Member): void {
    const members = this.#byOwner.get(owner)
    if (!members?.delete(member)) return
    this.#size--
    if (members.size === 0) this.#byOwner.delete(owner)
  }

  /** Returns the members of the owner that has the most, the one that was used first in front. */
  largest(): ReadonlySet<Member> {
    let largest: ReadonlySet<Member> = new Set()
    for (const members of this.#byOwner.values()) if (members.size > largest.size) largest = members
    return largest
  }
}
