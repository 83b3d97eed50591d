/** The window has no slot left: the caller did not look at `free`. */
export class WindowFull extends Error {
  override name = 'WindowFull'
}

/** ask() got no response before the deadline. */
export class SmppTimeout extends Error {
  override name = 'SmppTimeout'
}

/** ask() lost its session. With `sent` false the peer cannot have seen the request. */
export class SmppClosed extends Error {
  override name = 'SmppClosed'
  readonly sent: boolean

  constructor(reason: string, sent: boolean) {
    super(`session closed: ${reason}`)
    this.sent = sent
  }
}
